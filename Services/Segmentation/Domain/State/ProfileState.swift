package import Models

/// Where one profile stands in one segment: a fold over the facts so far.
package struct SegmentState: Hashable, Sendable {
    /// The version of the rule that the memories belong to.
    package var version: Int
    /// Since when the profile is a member; nil if it is none.
    package var memberSince: Instant?
    /// What each leaf of the rule remembers.
    package var memories: [Memory]
    /// When the membership changes next if nothing happens.
    package var deadline: Instant?
    /// The instant from which on this rule decides for this profile: later than its facts for a rule that was
    /// written after them. Nothing is decided for instants before it.
    package var decidesFrom: Instant

    package var isMember: Bool { memberSince != nil }
}

/// Where one profile stands in all segments: everything that deciding needs, and nothing else.
package struct ProfileState: Hashable, Sendable {
    /// The latest instant for which something was decided; a fact from before it is late.
    package var decidedAt: Instant
    /// The revision of the segment set that all of `segments` belong to.
    package var revision: Int64
    /// The highest offset of the timeline that the state includes, per shard; facts at or below it are known.
    package var appliedThrough: [Shard: Int64] = [:]
    package var segments: [String: SegmentState] {
        get { stored }
        _modify {
            // Whoever changes them may change deadlines as well.
            timetable.forget()
            yield &stored
        }
    }
    private var stored: [String: SegmentState] = [:]
    /// The deadlines of `segments` in due order.
    private var timetable = Timetable()

    /// The state of a profile of which nothing is known yet.
    package init(revision: Int64) {
        decidedAt = .distantPast
        self.revision = revision
    }

    /// The next instant at which time alone changes a membership.
    package var nextDeadline: Instant? {
        timetable.entries.map { $0.first?.at } ?? stored.values.lazy.compactMap(\.deadline).min()
    }

    /// A state for which nothing was decided, of segments without deadlines.
    init(revision: Int64, empty segments: [String: SegmentState]) {
        self.init(revision: revision)
        stored = segments
        timetable.rebuild(from: [:])
    }

    /// Puts the deadlines in due order, if that is not known, so that asking for the next is cheap from now on.
    mutating func arrange() {
        if timetable.entries == nil { timetable.rebuild(from: stored) }
    }

    /// The deadlines in due order, each with the segment's id.
    var deadlines: [Timetable.Entry] {
        timetable.entries ?? Timetable.sorted(stored)
    }

    /// Changes what one segment remembers, in place; nil if its state is not of this version.
    mutating func withMemories<Result>(
        of id: String, version: Int, _ body: (inout [Memory], Instant) -> Result
    ) -> Result? {
        guard let place = stored.index(forKey: id), stored.values[place].version == version else {
            return nil
        }
        let decidesFrom = stored.values[place].decidesFrom
        return body(&stored.values[place].memories, decidesFrom)
    }

    /// Sets since when the profile is in a segment, and when that changes next.
    mutating func set(_ id: String, memberSince: Instant?, deadline: Instant?) {
        guard let place = stored.index(forKey: id) else { return }
        let before = stored.values[place].deadline
        stored.values[place].memberSince = memberSince
        guard before != deadline else { return }
        stored.values[place].deadline = deadline
        timetable.move(id, from: before, to: deadline)
    }

    /// Whether the fact at this place of the timeline is included.
    package func includes(offset: Int64, of shard: Shard) -> Bool {
        offset <= appliedThrough[shard] ?? 0
    }

    /// Notes that the fact at this place is included.
    package mutating func include(offset: Int64, of shard: Shard) {
        appliedThrough[shard] = max(offset, appliedThrough[shard] ?? 0)
    }
}
