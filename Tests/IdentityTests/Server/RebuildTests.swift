import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "What is stored against a plain rebuild",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct RebuildTests {
    private static let consumers = 3
    private static let phases = 4 * soakFactor
    private static let eventsOfPhase = 40

    @Test(
        "whatever several consumers, operators and repetitions do at once, it is what one after the other makes of it"
    )
    func rebuild() async throws {
        var generator = seededGenerator()
        var met = (merged: 0, undone: 0, joined: 0, repeated: 0)
        for _ in 0..<2 {
            try await IdentityDatabase.with { database in
                let journal = try await Journal(in: database)
                var events: [String: TrackingEvent] = [:]
                for phase in 0..<Self.phases {
                    var sent: [TrackingEvent] = []
                    for number in 0..<Self.eventsOfPhase {
                        let event = TrackingEvent.random(
                            phase * Self.eventsOfPhase + number, using: &generator)
                        events[Journal.name(of: event)] = event
                        sent.append(event)
                    }
                    // What was sent before, of this phase too, is received once more: as it is when ingestion has
                    // forgotten it.
                    for _ in 0..<6 {
                        let known = events.values.sorted { $0.receivedAt < $1.receivedAt }
                        guard var event = known.randomElement(using: &generator) else { continue }
                        met.repeated += 1
                        event.receivedAt = start + .hours(1) + .seconds(met.repeated)
                        events[Journal.name(of: event)] = event
                        sent.insert(event, at: Int.random(in: 0...sent.count, using: &generator))
                    }
                    try await database.publish(sent)
                    try await work(phase, journal, database, using: &generator)
                    try await journal.allow(using: &generator)
                }
                let acts = try await journal.acts(events)
                let rebuilt = try Rebuilt(acts)
                try await expect(database, toBe: rebuilt)
                met.merged += rebuilt.people.edges.count
                met.undone += rebuilt.people.edges.count(where: \.isUndone)
                met.joined += acts.count { if case .join = $0 { true } else { false } }
            }
        }
        #expect(met.merged > 10 && met.undone > 3 && met.joined > 1, "the histories say too little: \(met)")
    }

    /// Consumers of shards of their own, and two operators, all at once.
    private func work(
        _ phase: Int, _ journal: Journal, _ database: IdentityDatabase, using generator: inout SeededGenerator
    ) async throws {
        let seeds = (0..<Self.consumers + 2).map { _ in SeededGenerator(seed: generator.next()) }
        try await withThrowingTaskGroup { group in
            for lane in 0..<Self.consumers {
                // Each phase, each has what another had.
                let own = Shard.all.filter { (Int($0.number) + phase) % Self.consumers == lane }
                group.addTask { try await consume(Set(own), journal, database, seed: seeds[lane]) }
            }
            for operatorSeed in seeds.suffix(2) {
                group.addTask {
                    var generator = operatorSeed
                    for _ in 0..<5 {
                        if Int.random(in: 0..<4, using: &generator) > 0 {
                            try await journal.undo(using: &generator)
                        } else {
                            try await journal.join(using: &generator)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Follows the shards to their end; some batches come to nothing just before they are committed, and come again.
    private func consume(
        _ shards: Set<Shard>, _ journal: Journal, _ database: IdentityDatabase, seed: SeededGenerator
    ) async throws {
        var generator = seed
        while true {
            let batch = Int.random(in: 1...9, using: &generator)
            let failing = Int.random(in: 2...8, using: &generator)
            let turns = Turns()
            let consumer = database.consumer(
                batch: batch, reader: ShardsReader(reader: DatabaseStreamReader(pool: database.owner), shards)
            ) { batch, transaction in
                try await EventResolution(resolution: database.resolution).resolve(batch, in: transaction)
                try await journal.note(batch, in: transaction)
                if await turns.next() == failing { throw RetryLater("this one is lost") }
            }
            do {
                try await consumer.drain()
                return
            } catch is RetryLater {
                await Task.yield()
            } catch let error as PostgresError where error.isTransient {
                await Task.yield()
            }
        }
    }

    private actor Turns {
        private var count = 0

        func next() -> Int {
            count += 1
            return count
        }
    }

    // MARK: Comparing

    private func expect(_ database: IdentityDatabase, toBe rebuilt: Rebuilt) async throws {
        let people = rebuilt.people
        var profiles: [ProfileID: ProfileID] = [:]
        for row in try await database.owner.query(
            "SELECT profile_id, canonical_id, is_known FROM profiles.profile")
        {
            let (id, canonical): (ProfileID, ProfileID) = (
                try row.get("profile_id"), try row.get("canonical_id")
            )
            profiles[id] = canonical
            guard id == canonical else { continue }
            let person = people.people.first { rebuilt.id($0.canonical) == id }
            #expect(try row.get("is_known", as: Bool.self) == person?.isKnown)
        }
        #expect(profiles == rebuilt.canonical)

        var owners: [Identifier: ProfileID] = [:]
        for owner in people.owners {
            let place = IdentityDatabase.key.place(of: owner.identifier)
            let rows = try await database.owner.query(
                """
                SELECT profile_id FROM profiles.identifier
                WHERE shard = \(place.shard) AND type = \(place.kind.rawValue) AND value_hash = \(place.hash)
                """)
            owners[owner.identifier] = try rows.first?.get("profile_id")
        }
        #expect(owners == rebuilt.owners)
        let identifiers = try await database.owner.query("SELECT count(*) AS n FROM profiles.identifier")
        #expect(try identifiers.first?.get("n", as: Int.self) == owners.count)

        let quarantined = try await database.owner.query("SELECT error FROM identity.stream_quarantine")
        #expect(try quarantined.map { try $0.get("error", as: String.self) } == [])

        let rows = try await database.owner.query("SELECT * FROM profiles.merge")
        #expect(
            Set(try rows.map(Rebuilt.Edge.init)) == Set(rebuilt.edges) && rows.count == rebuilt.edges.count)
        let suppressed = try rows.map { try $0.get("suppressed_count", as: Int.self) }.reduce(0, +)
        #expect(suppressed == people.edges.map(\.suppressed).reduce(0, +))

        for person in people.people {
            let found = try #require(
                try await database.store.person(rebuilt.id(person.canonical), in: database.pool))
            #expect(Set(found.memberIDs) == Set(person.profiles.map { rebuilt.id($0) }))
            let traits = try await database.store.traits(of: found, in: database.pool)
            let expected = rebuilt.traits(of: person)
            #expect(traits.values == expected.filter { !$0.value.isNull })
            #expect(traits.entries.mapValues(\.value) == expected)
        }
    }
}

/// Reads some shards only.
private struct ShardsReader: StreamReader {
    let reader: DatabaseStreamReader
    let shards: Set<Shard>

    init(reader: DatabaseStreamReader, _ shards: Set<Shard>) {
        self.reader = reader
        self.shards = shards
    }

    func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord] {
        try await reader.read(
            stream, after: positions.filter { shards.contains($0.key) }, limit: limit, wait: wait)
    }

    func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] {
        try await reader.heads(stream).filter { shards.contains($0.key) }
    }
}
