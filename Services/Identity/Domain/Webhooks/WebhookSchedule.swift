package import Models

/// When a delivery is tried again: ten attempts over a little more than three days.
package enum WebhookSchedule {
    /// The pause after each failed attempt but the last.
    package static let pauses: [Duration] = [
        .seconds(5), .minutes(5), .minutes(30), .hours(2), .hours(5), .hours(10), .hours(14), .hours(20),
        .hours(24),
    ]

    /// Attempts in all, with the first.
    package static var attempts: Int { pauses.count + 1 }

    /// When the attempt after the `failed`-th is due; nil when there is none. Each pause is up to a fifth longer, so
    /// that an endpoint that comes back isn't met by everything at once; by how much depends on the event and the
    /// attempt alone.
    package static func next(after failed: Int, at now: Instant, of event: WebhookEventID) -> Instant? {
        guard pauses.indices.contains(failed - 1) else { return nil }
        let pause = pauses[failed - 1].milliseconds
        let spread = Int64(StableHash.hash64("webhook", event.description, "\(failed)") % 201)
        return now + .milliseconds(pause + pause * spread / 1000)
    }
}
