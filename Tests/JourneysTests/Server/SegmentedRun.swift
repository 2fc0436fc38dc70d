import Foundation
import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

/// Two people who do the same in every run, with a plain segmentation beside them: whoever has filled two carts since the
/// last order is keen. In some runs they are taken for one for a time.
struct SegmentedRun {
    struct Outcome {
        /// Who stands where in the end.
        var standing: [String]
        /// What would be sent if nothing had been yet.
        var sends: [Send]
        /// Between which instants the two were one.
        var asOne: ClosedRange<Instant>
    }

    struct Send: Hashable, Comparable {
        var at: Instant
        /// For whom, and of which template.
        var what: String

        static func < (left: Send, right: Send) -> Bool { (left.at, left.what) < (right.at, right.what) }
    }

    private struct Deed {
        var person: Int
        var isOrder: Bool
        var at: Instant
    }

    let fixture: JourneysFixture
    var random: TestSeed
    let merges: Bool
    private var deeds: [Deed] = []

    init(fixture: JourneysFixture, random: TestSeed, merges: Bool) {
        self.fixture = fixture
        self.random = random
        self.merges = merges
    }

    private static let keen = """
        name: Keen
        status: active
        entry: {segment: keen, reentry: {after: 1h}}
        exits:
          - segmentExited: keen
        steps:
          - wait: {for: 15m}
          - send: {template: hello, purpose: marketing}
          - branch:
              cases:
                - when: {event: Product Added}
                  then:
                    - wait: {for: 20m}
          - wait: {for: 2h}
          - send: {template: offer, purpose: marketing}
        """

    private var people: [ProfileID] { [fixture.ada, fixture.bob] }

    mutating func outcome() async throws -> Outcome {
        #expect(try await fixture.put(Self.keen, as: "keen").status == 201)
        #expect(try await fixture.put(TestJourney.abandonedCart).status == 201)
        try await happen(6, asOne: false)
        let merged = fixture.clock.now
        if merges { try await merge() }
        try await happen(9, asOne: merges)
        if merges { try await unmerge(since: merged) }
        try await fixture.drain()
        let undone = fixture.clock.now
        try await happen(3, asOne: false)
        let standing = try await look()
        for _ in 0..<12 { try await fixture.pass(.hours(3)) }
        return Outcome(
            standing: standing + (try await look()), sends: try await sends(), asOne: merged...undone)
    }

    // MARK: What happens

    private mutating func happen(_ number: Int, asOne: Bool) async throws {
        for _ in 0..<number {
            let deed = Deed(person: random.pick([0, 1]), isOrder: random.chance(25), at: fixture.clock.now)
            let before = isKeen(asOne ? deeds : deeds.filter { $0.person == deed.person })
            deeds.append(deed)
            let after = isKeen(asOne ? deeds : deeds.filter { $0.person == deed.person })
            try await fixture.happen(
                fixture.event(
                    deed.isOrder ? "Order Completed" : "Product Added", "m\(deeds.count)",
                    of: asOne ? fixture.ada : people[deed.person], under: people[deed.person]))
            if before != after {
                try await fixture.change(
                    "keen", after ? .entered : .exited, of: asOne ? fixture.ada : people[deed.person])
            }
            try await fixture.pass(.minutes(random.pick([1, 5, 20, 70])))
        }
    }

    private func merge() async throws {
        try await fixture.merge(fixture.bob, into: fixture.ada)
        let (own, other, both) = (isKeen(of: 0), isKeen(of: 1), isKeen(deeds))
        if other { try await fixture.change("keen", .exited, of: fixture.bob, reason: .merge) }
        if own != both {
            try await fixture.change("keen", both ? .entered : .exited, of: fixture.ada, reason: .merge)
        }
        try await fixture.drain()
    }

    private func unmerge(since: Instant) async throws {
        let merge = try await fixture.unmerge(fixture.bob, from: fixture.ada)
        let both = isKeen(deeds)
        for (index, person) in people.enumerated() {
            let (was, isNow) = (index == 0 && both, isKeen(of: index))
            if was != isNow {
                try await fixture.change("keen", isNow ? .entered : .exited, of: person, reason: .unmerge)
            }
            try await fixture.tell(
                .unmerged(
                    MembershipHistory(
                        profileID: person, mergeID: merge, since: since, versions: ["keen": 1],
                        changes: changes(of: index).filter { $0.at >= since })))
        }
    }

    // MARK: Segmentation

    private func isKeen(_ deeds: [Deed]) -> Bool {
        deeds.reversed().prefix { !$0.isOrder }.count >= 2
    }

    private func isKeen(of person: Int) -> Bool { isKeen(deeds.filter { $0.person == person }) }

    /// What would have been told of one of the two.
    private func changes(of person: Int) -> [MembershipChange] {
        let own = deeds.filter { $0.person == person }
        return own.indices.compactMap { index in
            let (before, after) = (isKeen(Array(own[..<index])), isKeen(Array(own[...index])))
            guard before != after else { return nil }
            return MembershipChange(
                profileID: people[person], segment: "keen", change: after ? .entered : .exited,
                at: own[index].at,
                version: 1, reason: .event, evidence: [:])
        }
    }

    // MARK: What came of it

    private func look() async throws -> [String] {
        try await fixture.owner.query(
            """
            SELECT profile_id, journey_id, trigger_key, step, due_at FROM journeys.instance
            WHERE ended_at IS NULL ORDER BY profile_id, journey_id
            """
        ).map { row in
            let (journey, key): (String, String) = (try row.get("journey_id"), try row.get("trigger_key"))
            let (step, due): (String?, Instant?) = (try row.get("step"), try row.get("due_at"))
            return
                "\(try row.get("profile_id", as: ProfileID.self)) \(journey) \(key) \(step ?? "") \(due?.rfc3339 ?? "")"
        }
    }

    private func sends() async throws -> [Send] {
        var (known, open): ([IntentID: SendIntent], [IntentID: SendIntent]) = ([:], [:])
        for (_, fact) in try await fixture.told() {
            switch fact {
            case .wanted(let intent): (known[intent.intentID], open[intent.intentID]) = (intent, intent)
            case .corrected(let correction):
                var intent = try #require(known[correction.intentID])
                (intent.profileID, intent.at) = (correction.profileID, correction.at)
                open[intent.intentID] = correction.kind == .withdrawn ? nil : intent
            case .unmerged: break
            }
        }
        return open.values.map { Send(at: $0.at, what: "\($0.profileID) \($0.template)") }.sorted()
    }
}
