import Foundation
import Models
import Postgres
import TestSupport
import Testing

/// Two people who do the same in every run; in some runs they are taken for one for a time.
struct PairRun {
    let fixture: JourneysFixture
    var random: TestSeed
    let merges: Bool
    private var count = 0

    init(fixture: JourneysFixture, random: TestSeed, merges: Bool) {
        self.fixture = fixture
        self.random = random
        self.merges = merges
    }

    private static let welcome = """
        name: Welcome
        status: active
        entry: {event: Signed Up, reentry: always}
        steps:
          - send: {template: welcome, purpose: marketing}
          - wait: {for: 30m}
          - send: {template: second, purpose: marketing}
          - wait: {untilEvent: Product Added, timeout: 2h}
        """

    /// The other's event brings its sends forward.
    private static let guide = """
        name: Guide
        status: active
        entry: {event: Signed Up, reentry: {after: 1h}}
        exits:
          - event: Other
        steps:
          - wait: {untilEvent: Product Added, timeout: 2h}
          - send: {template: guide, purpose: marketing}
          - wait: {untilEvent: Order Completed, timeout: 40m}
          - send: {template: tips, purpose: marketing}
        """

    private func putJourneys() async throws {
        let cart = TestJourney.abandonedCart.replacingOccurrences(of: "after: 3d", with: "after: 2h")
        #expect(try await fixture.put(cart).status == 201)
        let answer = try await fixture.put(Self.welcome, as: "welcome")
        #expect(answer.status == 201, "\(answer.text)")
    }

    /// The messages that would be sent if none had been yet, and between which instants the two were one.
    mutating func pending() async throws -> (sends: [String], merged: ClosedRange<Instant>) {
        try await putJourneys()
        #expect(try await fixture.put(Self.guide, as: "guide").status == 201)
        try await happen(6, merged: false)
        let merged = fixture.clock.now
        if merges { try await fixture.merge(fixture.bob, into: fixture.ada) }
        try await happen(8, merged: merges)
        if merges { try await fixture.unmerge(fixture.bob, from: fixture.ada) }
        try await fixture.drain()
        let undone = fixture.clock.now
        try await happen(4, merged: false)
        for _ in 0..<15 { try await fixture.pass(.hours(3)) }
        var intents: [IntentID: SendIntent] = [:]
        var known: [IntentID: SendIntent] = [:]
        // What is said of an intent is in one shard, in order.
        for (_, fact) in try await fixture.told() {
            switch fact {
            case .wanted(let intent):
                intents[intent.intentID] = intent
                known[intent.intentID] = intent
            case .corrected(let correction):
                var intent = try #require(known[correction.intentID])
                (intent.profileID, intent.at) = (correction.profileID, correction.at)
                intents[intent.intentID] = correction.kind == .withdrawn ? nil : intent
            case .unmerged: break
            }
        }
        return (
            intents.values.map { "\($0.at) \($0.profileID) \($0.template)" }.sorted(), merged...undone
        )
    }

    mutating func outcome() async throws -> [String] {
        try await putJourneys()
        try await happen(6, merged: false)
        if merges { try await fixture.merge(fixture.bob, into: fixture.ada) }
        try await happen(8, merged: merges)
        if merges { try await fixture.unmerge(fixture.bob, from: fixture.ada) }
        try await fixture.drain()
        let sent = try await fixture.intents().count
        let undone = fixture.clock.now
        var outcome = try await look()
        try await happen(4, merged: false)
        for _ in 0..<30 { try await fixture.pass(.hours(3)) }
        let later = try await fixture.intents().dropFirst(sent).filter { $0.at > undone }
        outcome += later.map { "\($0.at) \($0.profileID) \($0.template)" }.sorted()
        return try await outcome + look()
    }

    private mutating func happen(_ number: Int, merged: Bool) async throws {
        for _ in 0..<number {
            count += 1
            let person = random.chance(50) ? fixture.ada : fixture.bob
            let name = random.pick([
                "Product Added", "Product Added", "Signed Up", "Order Completed", "Other",
            ])
            try await fixture.happen(
                fixture.event(name, "m\(count)", of: merged ? fixture.ada : person, under: person))
            try await fixture.pass(.minutes(random.pick([1, 5, 20, 70])))
        }
    }

    /// Who stands where, and until when. Passages that ended tell of what was, and stay as they were told.
    private func look() async throws -> [String] {
        let running = try await fixture.owner.query(
            """
            SELECT i.profile_id, i.journey_id, i.trigger_key, i.step, i.due_at, d.due_at AS timer
            FROM journeys.instance i
            LEFT JOIN journeys.deadline d ON d.shard = i.shard AND d.instance_id = i.instance_id
            WHERE i.ended_at IS NULL ORDER BY i.profile_id, i.journey_id
            """)
        return try running.map { row in
            let due: Instant? = try row.get("due_at")
            #expect(try row.get("timer", as: Instant?.self) == due)
            return
                "\(try row.get("profile_id", as: ProfileID.self)) \(try row.get("journey_id", as: String.self))"
                + " \(try row.get("trigger_key", as: String.self)) \(try row.get("step", as: String?.self) ?? "")"
                + " \(due?.rfc3339 ?? "")"
        }
    }
}
