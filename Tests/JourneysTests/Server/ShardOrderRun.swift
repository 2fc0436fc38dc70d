import Foundation
import JourneysDomain
import Models
import Postgres
import TestSupport
import Testing

/// Many cases at once in one database. In each, four people do the same in three worlds: in one the merges are read in
/// the order in which identity made them, in one shard by shard in any order, and in one those that are undone later
/// never happen.
struct ShardOrderRun {
    enum World: CaseIterable, Hashable {
        case inOrder, shuffled, neverMerged
    }

    /// Who somebody is in the run.
    struct Part: Hashable {
        var number: Int
        var world: World
        var person: Int
    }

    struct Place: Hashable {
        var number: Int
        var world: World
    }

    private static let welcome = """
        name: Welcome
        status: active
        entry: {event: Signed Up, reentry: always}
        steps:
          - wait: {for: 30m}
          - send: {template: welcome, purpose: marketing}
          - wait: {for: 30m}
          - send: {template: second, purpose: marketing}
          - wait: {untilEvent: Product Added, timeout: 2h}
        """

    let fixture: JourneysFixture
    let scripts: [ShardOrderScript]
    private let ids: [Part: ProfileID]
    let parts: [ProfileID: Part]
    private var random: TestSeed
    private(set) var forests: [Place: ShardOrderForest] = [:]
    private var pending: [Int: [[ProfileFact]]] = [:]
    /// When the last merge was made or undone.
    private(set) var settled = JourneysFixture.start

    init(_ fixture: JourneysFixture, seed: UInt64, cases: Int) {
        self.fixture = fixture
        random = TestSeed(seed)
        scripts = (0..<cases).map { ShardOrderScript(TestSeed(seed &+ UInt64($0))) }
        var ids: [Part: ProfileID] = [:]
        for number in 0..<cases {
            for world in World.allCases {
                for person in 0..<ShardOrderScript.people {
                    let part = Part(number: number, world: world, person: person)
                    ids[part] = ProfileID(
                        UUIDv7.derived(at: JourneysFixture.start, from: "\(seed) \(part)"))
                }
                forests[Place(number: number, world: world)] = ShardOrderForest()
            }
        }
        self.ids = ids
        parts = Dictionary(uniqueKeysWithValues: ids.map { ($1, $0) })
    }

    mutating func run() async throws {
        let cart = TestJourney.abandonedCart.replacingOccurrences(of: "after: 3d", with: "after: 2h")
        #expect(try await fixture.put(cart).status == 201)
        #expect(try await fixture.put(Self.welcome, as: "welcome").status == 201)
        try await fixture.know(ids.values.sorted())
        for step in 0..<ShardOrderScript.steps {
            if ShardOrderScript.isMerging(step) {
                try await merge(step)
            } else {
                try await happen(step)
            }
        }
    }

    // MARK: What happens

    private mutating func happen(_ step: Int) async throws {
        var facts: [ProfileFact] = []
        for (place, forest) in forests {
            let deed = scripts[place.number].deeds[step]
            facts.append(
                fixture.event(
                    deed.name, "m\(step)", of: id(forest.root(of: deed.person), place),
                    under: id(deed.person, place)))
        }
        try await fixture.happen(facts, at: fixture.clock.now)
        try await fixture.pass(.minutes(random.pick([1, 5, 20, 70])))
    }

    /// Identity makes and undoes merges one after the other; what it says of them is read meanwhile.
    private mutating func merge(_ step: Int) async throws {
        let most = scripts.map { $0.changes[step, default: []].count }.max() ?? 0
        for round in 0..<most {
            fixture.clock.advance(by: .seconds(1))
            settled = fixture.clock.now
            var facts: [ProfileFact] = []
            var changed: [Place] = []
            for (number, script) in scripts.enumerated() {
                guard let changes = script.changes[step], round < changes.count else { continue }
                for world in World.allCases {
                    let place = Place(number: number, world: world)
                    if world == .neverMerged, !script.lasting.contains(changes[round].edge.ordinal) {
                        continue
                    }
                    let said = change(changes[round], place)
                    changed.append(place)
                    if world == .shuffled { pending[number, default: []].append(said) } else { facts += said }
                }
            }
            try await write(changed)
            try await fixture.happen(facts + readSome(35), at: fixture.clock.now)
            try await fixture.drain()
        }
        while !pending.isEmpty {
            try await fixture.happen(readSome(70), at: fixture.clock.now)
            try await fixture.drain()
        }
    }

    /// What is read of the shuffled world next: of one shard as it stands there, of several in any order.
    private mutating func readSome(_ percent: Int) -> [ProfileFact] {
        var facts: [ProfileFact] = []
        for number in pending.keys.sorted() {
            while let waiting = pending[number], random.chance(percent) {
                // Each of the two facts of a merge has its own shard; what is first there is read first.
                let flat = waiting.flatMap(\.self)
                let firsts = flat.indices.filter { index in
                    !flat[..<index].contains { Shard($0.profileID) == Shard(flat[index].profileID) }
                }
                let chosen = random.pick(firsts)
                facts.append(flat[chosen])
                let rest = flat.indices.filter { $0 != chosen }.map { [flat[$0]] }
                pending[number] = rest.isEmpty ? nil : rest
            }
        }
        return facts
    }

    private mutating func change(_ change: ShardOrderScript.Change, _ place: Place) -> [ProfileFact] {
        guard var forest = forests[place] else { return [] }
        defer { forests[place] = forest }
        let at = fixture.clock.now
        let edge = change.edge
        let mergeID = MergeID(
            UUIDv7.derived(at: JourneysFixture.start, from: "\(id(0, place)) edge \(edge.ordinal)"))
        if !change.isUndo {
            let (survivor, merged) = (forest.root(of: edge.survivor), forest.root(of: edge.merged))
            forest.add(edge, mergeID, at)
            return [
                .merge(
                    profileID: id(survivor, place), merged: id(merged, place), mergeID: mergeID, at: at,
                    cause: [:]),
                .mergedInto(
                    profileID: id(merged, place), survivor: id(survivor, place), mergeID: mergeID, at: at),
            ]
        }
        let former = forest.root(of: edge.survivor)
        forest.remove(edge)
        let ends = [edge.survivor, edge.merged].map { forest.root(of: $0) }
        let split = ends[0] == former ? ends[1] : ends[0]
        let members = (0..<ShardOrderScript.people).filter { forest.root(of: $0) == split }
            .map { id($0, place) }
        return [
            .unmerge(
                profileID: id(former, place), split: id(split, place), members: members, mergeID: mergeID,
                at: at, cause: [:]),
            .unmergedFrom(
                profileID: id(split, place), former: id(former, place), members: members, mergeID: mergeID,
                at: at),
        ]
    }

    /// Has identity's tables say what the forests say.
    private func write(_ places: [Place]) async throws {
        var statements: [SQL] = []
        for place in places {
            guard let forest = forests[place] else { continue }
            let people = (0..<ShardOrderScript.people).map { id($0, place) }
            let roots = (0..<ShardOrderScript.people).map { id(forest.root(of: $0), place) }
            statements.append(
                """
                UPDATE profiles.profile p SET canonical_id = w.root
                FROM unnest(\(people)::uuid[], \(roots)::uuid[]) AS w (id, root) WHERE p.profile_id = w.id
                """)
            let joints = forest.joints
            let merges = joints.map(\.mergeID)
            statements.append("DELETE FROM profiles.merge WHERE merged_id = ANY(\(people)::uuid[])")
            statements.append(
                """
                INSERT INTO profiles.merge (shard, merge_id, survivor_id, merged_id, at, ordinal)
                SELECT * FROM unnest(
                    \(joints.map { Shard(id($0.survivor, place)) })::smallint[], \(merges)::uuid[],
                    \(joints.map { id($0.survivor, place) })::uuid[],
                    \(joints.map { id($0.merged, place) })::uuid[], \(joints.map(\.at))::timestamptz[],
                    \(joints.map { Int64($0.ordinal) })::bigint[])
                """)
            let undone = forest.undone
            statements.append(
                """
                INSERT INTO profiles.unmerged_profile (shard, profile_id, merge_id, at)
                SELECT w.shard, w.id, m.id, \(fixture.clock.now)
                FROM unnest(\(people.map { Shard($0) })::smallint[], \(people)::uuid[]) AS w (shard, id),
                     unnest(\(undone)::uuid[]) AS m (id)
                ON CONFLICT DO NOTHING
                """)
        }
        let written = statements
        try await fixture.owner.transaction { _ = try await $0.pipeline(written) }
    }

    func id(_ person: Int, _ place: Place) -> ProfileID {
        ids[Part(number: place.number, world: place.world, person: person)] ?? fixture.ada
    }
}
