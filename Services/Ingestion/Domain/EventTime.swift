package import Models

/// When something happened, out of what the sender's clock and ours say.
package enum EventTime {
    /// Nothing that Martlet is sent happened before.
    package static let earliest = Instant(milliseconds: 0)

    /// `receivedAt − (sentAt − original)`: what the sender's clock is wrong by is wrong in both of its times, so their
    /// difference is right (Segment specification, "Timestamps"). Never after `receivedAt`; nil where the result lies
    /// before 1970.
    package static func corrected(original: Instant?, sentAt: Instant?, receivedAt: Instant) -> Instant? {
        guard let original else { return receivedAt }
        let corrected = sentAt.map { receivedAt - ($0 - original) } ?? original
        let clamped = min(corrected, receivedAt)
        return clamped < earliest ? nil : clamped
    }
}
