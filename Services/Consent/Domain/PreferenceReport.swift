package import Models

/// What a device says of a purpose with an event: what was chosen there some time, said again with each event
/// (`context.consent.categoryPreferences`, as Segment's SDKs and our script send it).
package struct PreferenceReport: Hashable, Sendable {
    /// Who says it, and where.
    package struct Key: Hashable, Sendable {
        /// The profile that the event arrived under.
        package let profileID: ProfileID
        /// A keyed hash of the device's name.
        package let device: String
        package let purpose: String

        package init(profileID: ProfileID, device: String, purpose: String) {
            self.profileID = profileID
            self.device = device
            self.purpose = purpose
        }
    }

    package let key: Key
    package let action: ConsentAction
    package let at: Instant
    /// When it was chosen, where the signal says so.
    package let chosenAt: Instant?

    package init(_ key: Key, _ action: ConsentAction, at: Instant, chosenAt: Instant? = nil) {
        self.key = key
        self.action = action
        self.at = at
        self.chosenAt = chosenAt.map { min($0, at) }
    }

    /// So many categories of one event are looked at.
    package static let mostCategories = 50

    /// What an event says of each purpose, in the order of their names. A category is a purpose of the same name; what is
    /// neither true nor false says nothing.
    package static func preferences(of event: TrackingEvent) -> [(purpose: String, action: ConsentAction)] {
        guard let preferences = event.context["consent"]?["categoryPreferences"]?.object else { return [] }
        return preferences.sorted { $0.key < $1.key }.prefix(mostCategories).compactMap { category, value in
            guard let isGranted = value.bool, Purpose.isID(category) else { return nil }
            return (category, isGranted ? .grant : .withdraw)
        }
    }
}

/// What each device has said last, so that only what it says anew is a decision.
///
/// Else two devices of a person that disagree would take turns, with every page that is seen on them. So the decision that
/// stands is the latest change on any of them.
package struct PreferenceMemory: Sendable {
    package private(set) var last: [PreferenceReport.Key: PreferenceReport]

    package init(_ last: [PreferenceReport.Key: PreferenceReport] = [:]) { self.last = last }

    /// How long a no by one signal of a device stands against a yes by another, and after how long without it a no is one
    /// anew.
    package static let silence: Duration = .hours(24)

    /// The same of a device that speaks by several signals (`others` are the keys of those): where they disagree a no
    /// counts, also when they come with different events. So a yes is none within a day of a no by another signal, and is
    /// looked at again with the next event; and a no that was not heard for a day is a decision again.
    package mutating func take(_ report: PreferenceReport, beside others: [PreferenceReport.Key]) -> Bool {
        let isDenied = others.contains { key in
            last[key].map { $0.action != .grant && $0.at > report.at - Self.silence } ?? false
        }
        if report.action == .grant, isDenied { return false }
        let before = last[report.key]
        let isDecision = take(report)
        guard !isDecision, report.action != .grant, let before, last[report.key] == report else {
            return isDecision
        }
        return report.at - before.at >= Self.silence
    }

    /// Takes a report in; true when it is a decision. What comes late says nothing of what stands; of two at the same
    /// instant the refusal counts.
    package mutating func take(_ report: PreferenceReport) -> Bool {
        guard let known = last[report.key] else {
            last[report.key] = report
            return true
        }
        if report.at < known.at { return false }
        if report.at == known.at, report.action == .grant { return false }
        last[report.key] = report
        return report.action != known.action
    }
}
