package import Models

package enum HistoryTag {}
/// One entry in the history of a profile's journeys.
package typealias HistoryID = TypedID<HistoryTag>

/// What an entry of the history says.
package enum HistoryKind: String, CaseIterable, Sendable {
    case entered, notEntered
    case waiting, waited, timedOut, awaitedEvent, reached
    case branched, split, jumped
    case sent
    case moved, restated, exited
}

/// One line of the record that every decision leaves, with what it rests on.
package struct HistoryEntry: Hashable, Sendable {
    package var id: HistoryID
    package var journey: String
    package var version: Int
    /// Nil for somebody who was not let in.
    package var instanceID: InstanceID?
    package var profileID: ProfileID
    /// Orders the entries of an instance.
    package var ordinal: Int
    package var kind: HistoryKind
    package var step: String?
    package var at: Instant
    package var cause: JSON
    package var detail: JSON
}

/// What came of a decision, besides the new state: the record of it, and the messages wanted.
package struct Decision: Hashable, Sendable {
    package var history: [HistoryEntry] = []
    package var intents: [SendIntent] = []
    /// Those that were asked for before their time, when it has come.
    package var renewals: [IntentCorrection] = []

    package init() {}

    package mutating func append(_ other: Decision) {
        history += other.history
        intents += other.intents
        renewals += other.renewals
    }
}
