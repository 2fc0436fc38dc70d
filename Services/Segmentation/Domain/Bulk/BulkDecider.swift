package import Models

/// Decides rules for many profiles at one instant: from columns where that can be done, else event by event as they are
/// decided when they come in.
package struct BulkDecider: Sendable {
    package let program: BulkProgram
    /// The rules in the order in which they were given.
    package let ids: [String]
    /// All rules, for profiles that the program leaves to it.
    private let all: SegmentDecider
    /// The rules that the program leaves to it, with those that they may look at; nil if there are none.
    private let others: SegmentDecider?

    package init(_ definitions: [SegmentDefinition], over columns: EventColumns, at instant: Instant) {
        program = BulkProgram(definitions, over: columns, at: instant)
        ids = definitions.map(\.id)
        all = SegmentDecider(SegmentSet(revision: 1, segments: definitions))
        let unsupported = Set(program.unsupported)
        let left = definitions.filter { unsupported.contains($0.id) }
        if left.contains(where: { $0.rule.refers }) {
            others = all
        } else {
            others = left.isEmpty ? nil : SegmentDecider(SegmentSet(revision: 1, segments: left))
        }
    }

    /// For each rule the members among the profiles of a range, in ascending order, by the facts up to the instant.
    ///
    /// `events` gives the events of a profile in any order; it is asked only for those that the program cannot decide wholly.
    /// Ranges have nothing to do with each other, so threads may share them out.
    package func members(in range: Range<Int>, events: (Int) -> [TrackingEvent]) -> [[UInt32]] {
        var answer = program.decide(range)
        var members = Dictionary(
            zip(program.compiled, answer.members), uniquingKeysWith: { first, _ in first })
        answer.members = []
        if let others {
            for profile in range {
                decide(profile, events, by: others, of: program.unsupported, &members)
            }
        }
        for profile in answer.undecided { decide(profile, events, by: all, of: program.compiled, &members) }
        if !answer.undecided.isEmpty {
            for id in program.compiled { members[id]?.sort() }
        }
        return ids.map { members[$0] ?? [] }
    }

    private func decide(
        _ profile: Int, _ events: (Int) -> [TrackingEvent], by decider: SegmentDecider, of ids: [String],
        _ members: inout [String: [UInt32]]
    ) {
        let now = program.instant
        let known = events(profile).filter { SegmentDecider.instant(of: $0) <= now }
        // A state of no rules: everything is stale, and is made from the events.
        var state = ProfileState(revision: 0)
        _ = decider.refresh(&state, with: known, now: now, of: Self.anybody)
        for id in ids where state.segments[id]?.isMember == true {
            members[id, default: []].append(UInt32(profile))
        }
    }

    /// Changes tell of a profile; nobody sees these.
    private static let anybody = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "anybody"))
}
