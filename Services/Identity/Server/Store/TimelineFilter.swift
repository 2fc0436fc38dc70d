import Models
import Postgres

/// Which entries of a timeline are shown.
struct TimelineFilter: Hashable, Sendable {
    /// Kinds of calls and of facts; all when empty.
    var types: Set<String> = []
    /// The event of a track call, the name of a page or screen.
    var name: String?
    var from: Instant?
    /// Entries at this instant are not shown.
    var to: Instant?
    var sourceID: SourceID?

    /// What an entry may be asked for by: that a profile was merged into another stands on the survivor's side.
    static let types = Set(TrackingEvent.Kind.allCases.map(\.rawValue))
        .union(ProfileFact.Kind.allCases.map(\.rawValue))
        .subtracting([ProfileFact.Kind.event.rawValue, ProfileFact.Kind.mergedInto.rawValue])

    /// What the database can tell; begins with AND, where there is anything.
    var condition: SQL {
        var condition: SQL = ""
        if !types.isEmpty { condition += " AND type = ANY(\(types.sorted())::text[])" }
        if let name { condition += " AND name = \(name)" }
        if let from { condition += " AND occurred_at >= \(from)::timestamptz" }
        if let to { condition += " AND occurred_at < \(to)::timestamptz" }
        // Of entries from before there was the column, the body tells.
        if let sourceID { condition += " AND (source_id = \(sourceID) OR source_id IS NULL)" }
        return condition
    }

    /// What is told by the fact alone.
    func admits(_ entry: TimelineStore.Entry) -> Bool {
        guard let sourceID else { return true }
        return entry.body[path: "event.sourceId"]?.string == sourceID.description
    }
}

/// A place in a timeline to read on from, and which way.
struct TimelinePlace: Hashable, Sendable {
    enum Direction: String, Sendable {
        /// To what happened before.
        case earlier
        /// To what happened after.
        case later
    }

    let direction: Direction
    let position: TimelineStore.Position
}

/// Some of a timeline, the latest first.
struct TimelinePage: Sendable {
    var entries: [TimelineStore.Entry] = []
    /// Where to go on to what happened before; nil where nothing did.
    var next: TimelinePlace?
    /// Where to go back to what happened after.
    var previous: TimelinePlace?
}
