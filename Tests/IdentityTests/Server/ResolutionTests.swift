import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Resolving the stream of events",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ResolutionTests {
    @Test("the database holds what brute force finds, whatever the batches and the order of the shards")
    func oracle() async throws {
        var generator = seededGenerator()
        for _ in 0..<2 {
            let events = (0..<120).map { TrackingEvent.random($0, using: &generator) }
            try await IdentityDatabase.with { database in
                try await database.publish(events)
                #expect(try await database.consumer(batch: 64).drain() == events.count)
                let records = try await database.timeline()
                try expectGapless(records)
                let facts = try records.map { try ProfileFact(json: $0.body) }
                for (record, fact) in zip(records, facts) {
                    #expect(record.key == fact.profileID.description)
                    #expect(record.shard == Shard(fact.profileID))
                }
                let resolved = facts.compactMap(\.event)
                #expect(resolved.map(\.messageID).sorted() == events.map(\.messageID).sorted())
                // The order that counts is the one in which the consumer met them: that of the shards.
                let met = try await order(of: events, in: database)
                var remembered = RememberedPeople()
                for event in met {
                    var resolver = remembered.resolver(for: [event])
                    try resolver.resolve(event)
                    remembered.take(resolver)
                }
                let people = try await database.people(remembered.owners.keys)
                #expect(people == remembered.owners.compactMapValues { remembered.profiles[$0]?.canonicalID })
                let store = database.store
                for (id, traits) in remembered.effectiveTraits {
                    let person = try #require(try await store.person(id, in: database.pool))
                    #expect(try await store.traits(of: person, in: database.pool) == traits)
                }
            }
        }
    }

    /// The events in the order in which a consumer reads them: batches over all shards, each shard in order.
    private func order(of events: [TrackingEvent], in database: IdentityDatabase) async throws
        -> [TrackingEvent]
    {
        var positions = Dictionary(uniqueKeysWithValues: Shard.all.map { ($0, Int64(0)) })
        var met: [TrackingEvent] = []
        while true {
            let page = try await DatabaseStreamReader(pool: database.owner)
                .read(.events, after: positions, limit: 64, wait: .zero)
            if page.isEmpty { return met }
            for record in page {
                positions[record.shard] = record.offset
                met.append(try TrackingEvent(json: record.body))
            }
        }
    }

    private func expectGapless(_ records: [StreamRecord]) throws {
        for (_, shard) in Dictionary(grouping: records, by: \.shard) {
            #expect(shard.map(\.offset) == Array(1...Int64(shard.count)))
        }
    }

    @Test("identifiers remember when they were first and last seen, traits where they come from")
    func provenance() async throws {
        try await IdentityDatabase.with { database in
            try await database.publish([
                event(10, .identify, user: "u", email: "A@x.org", traits: ["plan": "pro"]),
                event(20, user: "u"),
                event(30, .identify, user: "u", traits: ["plan": "free", "city": "Bern"], late: .minutes(1)),
            ])
            try await database.consumer().drain()
            let store = database.store
            let address = try #require(Identifier(.email, "a@X.org"))
            let id = try #require(try await store.canonicalID(of: address, in: database.pool))
            let person = try #require(try await store.person(id, in: database.pool))
            let identifiers = try await store.identifiers(of: person.memberIDs, in: database.pool)
            let user = try #require(identifiers.first { $0.identifier.kind == .userID })
            #expect(user.firstSeen == start + .seconds(-30))
            // To the hour, which began before it was seen first; an address to the millisecond.
            #expect(user.lastSeen == user.firstSeen)
            let email = try #require(identifiers.first { $0.identifier.kind == .email })
            #expect(email.lastSeen == start + .seconds(10))
            #expect(try await store.email(of: person, in: database.pool) == "a@x.org")
            let traits = try await store.traits(of: person, in: database.pool)
            #expect(traits.values == ["plan": "pro", "city": "Bern", "email": "A@x.org"])
            #expect(traits.entries["plan"]?.stamp.messageID == "m10")
        }
    }

    @Test("an event that leads to nobody is put into quarantine, and the others go on")
    func quarantine() async throws {
        try await IdentityDatabase.with { database in
            var stranger = event(1, device: "d")
            stranger.anonymousID = nil
            try await database.publish([event(0, device: "d"), stranger, event(2, device: "d")])
            #expect(try await database.consumer().drain() == 3)
            let rows = try await database.pool.query("SELECT error FROM identity.stream_quarantine")
            #expect(try rows.map { try $0.get("error", as: String.self) } == ["ResolutionError: nobody"])
            #expect(try await database.timeline().count == 2)
        }
    }

    @Test("instances that meet the same people at the same time agree, and lose and double nothing")
    func concurrency() async throws {
        var generator = seededGenerator()
        // Each person has own devices and addresses, so the outcome doesn't depend on who comes first.
        let events = (0..<240).map { number in
            let person = Int.random(in: 0..<4, using: &generator)
            let device = "d\(person)-\(Int.random(in: 0..<4, using: &generator))"
            let email = Int.random(in: 0..<3, using: &generator) == 0 ? "e\(person)@x.org" : nil
            return event(
                number, user: Bool.random(using: &generator) ? "u\(person)" : nil, device: device,
                email: email)
        }
        try await IdentityDatabase.with { database in
            let batches = stride(from: 0, to: events.count, by: 6).map { Array(events[$0..<$0 + 6]) }
            try await withThrowingTaskGroup { group in
                for lane in 0..<6 {
                    group.addTask {
                        for batch in batches.indices where batch % 6 == lane {
                            try await resolve(batches[batch], in: database)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let records = try await database.timeline()
            try expectGapless(records)
            let facts = try records.map { try ProfileFact(json: $0.body) }
            #expect(facts.compactMap(\.event).map(\.messageID).sorted() == events.map(\.messageID).sorted())
            let identifiers = Set(events.flatMap { Observation($0).identifiers })
            let people = try await database.people(identifiers)
            #expect(people.count == identifiers.count)
            for person in 0..<4 {
                let own = people.filter { identifier, _ in
                    identifier.value.dropFirst().hasPrefix("\(person)")
                        && events.contains { $0.userID == "u\(person)" }
                }
                let linked = own.filter { identifier, _ in
                    events.contains { event in
                        let seen = Observation(event).identifiers
                        return seen.contains(identifier) && seen.contains { $0.value == "u\(person)" }
                    }
                }
                #expect(Set(linked.values).count <= 1)
            }
            // The forest that the facts tell is the one that the table holds.
            var parent: [ProfileID: ProfileID] = [:]
            for case .merge(let survivor, let merged, _, _, _) in facts { parent[merged] = survivor }
            func root(_ id: ProfileID) -> ProfileID { parent[id].map(root) ?? id }
            for row in try await database.pool.query("SELECT profile_id, canonical_id FROM profiles.profile")
            {
                #expect(root(try row.get("profile_id")) == (try row.get("canonical_id", as: ProfileID.self)))
            }
        }
    }

    /// As a consumer does it: again, when somebody else was faster.
    private func resolve(_ events: [TrackingEvent], in database: IdentityDatabase) async throws {
        let records = events.map { event in
            StreamRecord(shard: Shard(hashing: "x"), offset: 1, key: "x", recordedAt: start, body: event.json)
        }
        while true {
            do {
                return try await database.pool.transaction { transaction in
                    try await EventResolution(resolution: database.resolution)
                        .resolve(StreamBatch(records: records, now: start), in: transaction)
                }
            } catch is RetryLater {
                await Task.yield()
            } catch let error as PostgresError where error.isTransient {
                await Task.yield()
            }
        }
    }
}

extension ProfileFact {
    var event: TrackingEvent? {
        guard case .event(_, _, let event) = self else { return nil }
        return event
    }
}
