import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Erasures while events are on their way",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .timeLimit(.minutes(2)))
struct ErasureOrderTests {
    private let first = event(0, .identify, user: "u", email: "secret@x.org")
    private let second = event(1, .identify, user: "u", email: "secret@x.org", traits: ["plan": "pro"])

    @Test("an event that was read before an erasure and is processed after it goes with the person")
    func readBefore() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            try await database.publish([second])
            let request = try await world.request("u")
            let privacy = database.privacy()
            let page = PausedReader(database.owner) {
                // The page is in memory: were the person erased now, it would make a new one of them.
                try await world.expectToWait(request, at: privacy)
            }
            try await database.consumer(reader: page).drain()
            try await world.erase(request, at: privacy)
            try await world.tellIngestion()
            #expect(try await database.consumer().drain() == 0)
            try await world.expectNothing(of: "u")
            #expect(try await world.rawMessages().isEmpty)
        }
    }

    @Test(
        "an instance that was paused with a page in memory finds that another went on, and makes nobody of it"
    )
    func pausedInstance() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            try await database.publish([second])
            let request = try await world.request("u")
            let page = PausedReader(database.owner) {
                try await database.consumer().drain()
                try await world.erase(request, at: database.privacy())
                try await world.tellIngestion()
            }
            await #expect(throws: StreamError.self) { try await database.consumer(reader: page).drain() }
            #expect(try await database.consumer().drain() == 0)
            try await world.expectNothing(of: "u")
        }
    }

    @Test("killed between the request and the erasure, an instance comes back to the same end")
    func kills() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            try await database.publish([second])
            let request = try await world.request("u")
            struct Killed: Error {}
            // With the page in memory.
            let page = PausedReader(database.owner) { throw Killed() }
            await #expect(throws: Killed.self) { try await database.consumer(reader: page).drain() }
            try await world.expectToWait(request, at: database.privacy())
            try await database.consumer().drain()
            // Before its erasure has committed.
            await #expect(throws: Killed.self) {
                try await database.pool.transaction { transaction in
                    _ = try await database.privacy().erase(request, in: transaction)
                    throw Killed()
                }
            }
            #expect(try await world.people("u") != nil)
            try await world.erase(request, at: database.privacy())
            // Before ingestion has heard of it: what is told lies in the outbox.
            #expect(try await database.consumer().drain() == 0)
            try await world.tellIngestion()
            try await world.expectNothing(of: "u")
            #expect(try await world.rawMessages().isEmpty)
        }
    }

    @Test("what two people did on one device goes with whoever did it, and so does what came from no device")
    func sharedDevice() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            // The tablet is Ada's; Bob uses it too, and keeps being somebody else.
            for event in [
                event(0, .identify, user: "ada", device: "tablet"), event(1, user: "bob"),
                event(2, user: "bob", device: "tablet"), event(3, user: "bob", device: "null"),
                event(4, device: "tablet"), event(5, user: "cy", device: "null"),
            ] { try await world.resolve([event], byDevice: true) }
            #expect(try await world.rawMessages() == ["m0", "m1", "m2", "m3", "m4", "m5"])
            let bob = try await world.request("bob", number: 1)
            let ada = try await world.request("ada", number: 2)
            try await world.erase(bob, at: database.privacy())
            try await world.tellIngestion()
            #expect(try await world.rawMessages() == ["m0", "m4", "m5"])
            try await world.erase(ada, at: database.privacy())
            try await world.tellIngestion()
            #expect(try await world.rawMessages() == ["m5"])
            #expect(try await world.timelineMessages() == ["m5"])
        }
    }

    @Test(
        "what somebody who was erased had done before, and what is told of them, comes late and makes nobody of them"
    )
    func late() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([event(0, .identify, user: "u", device: "phone", email: "secret@x.org")])
            let person = try #require(try await world.people("u"))
            try await world.erase(
                try await world.request("u"), at: database.privacy(at: start + .hours(2)))
            try await world.tellIngestion()
            let kept = try await database.timeline().count
            // These happened before.
            for late in [
                event(1, user: "u"), event(2, device: "phone"),
                event(3, email: "secret@x.org", contacts: ["7"]),
                event(4, profile: person), event(7, .alias, user: "new", previous: "u"),
            ] { try await world.resolve([late]) }
            #expect(try await world.people("u") == nil)
            #expect(try await database.timeline().count == kept)
            #expect(try await database.owner.query("SELECT FROM profiles.identifier").isEmpty)
            // Ingestion is told which they are, and keeps none of them.
            let told = try await Outbox(schema: "identity", vault: database.store.vault)
                .bodies(to: .ingestion, pathContaining: "late-events", in: database.pool)
            let offsets = told.flatMap { $0["events"]?.object?.values.flatMap { $0.array ?? [] } ?? [] }
            #expect(offsets.count == 5)
            #expect(try await world.people("new") == nil)
            // Somebody else on the same telephone, and whoever comes back, are people like any other.
            try await world.resolve([event(5, user: "other", device: "phone")])
            let after = 3 * 3_600
            try await world.resolve([event(after, .identify, user: "u", email: "secret@x.org")])
            #expect(try await world.people("other") != nil)
            let again = try await world.people("u")
            #expect(again != nil && again != person)
            // And even then what they had done before is not theirs again.
            try await world.resolve([event(6, user: "u")])
            #expect(try await world.timelineMessages() == ["m\(after)", "m5"].sorted())
        }
    }

    @Test("whoever erases the owner of a device leaves what others did on it")
    func deviceOfTheErased() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            for event in [
                event(0, .identify, user: "ada", device: "tablet"), event(1, user: "bob"),
                event(2, user: "bob", device: "tablet"), event(3, device: "tablet"),
            ] { try await world.resolve([event], byDevice: true) }
            try await world.erase(try await world.request("ada"), at: database.privacy())
            try await world.tellIngestion()
            #expect(try await world.rawMessages() == ["m1", "m2"])
            #expect(try await world.timelineMessages() == ["m1", "m2"])
        }
    }

    @Test("whoever comes back while they are erased is somebody new, and their event stays in the raw log")
    func comingBack() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            try await database.publish([second])
            let request = try await world.request("u")
            let privacy = database.privacy()
            try await world.expectToWait(request, at: privacy)
            try await database.consumer().drain()
            try await database.publish([event(2, .identify, user: "u", email: "secret@x.org")])
            let page = PausedReader(database.owner) {
                try await world.erase(request, at: privacy)
                try await world.tellIngestion()
            }
            try await database.consumer(reader: page).drain()
            let new = try #require(try await world.people("u"))
            #expect(!request.profileIDs.contains(new))
            #expect(try await world.timelineMessages() == ["m2"])
            #expect(try await world.rawMessages() == ["m2"])
        }
    }

    @Test("an erasure waits for whoever is resolving an event of the person, and takes that with it")
    func underway() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            try await database.publish([second])
            let request = try await world.request("u")
            let privacy = database.privacy()
            try await world.expectToWait(request, at: privacy)
            try await database.consumer().drain()
            try await database.publish([event(2, user: "u", device: "phone")])
            let (resolved, resolves) = AsyncStream.makeStream(of: Void.self)
            let (goesOn, go) = AsyncStream.makeStream(of: Void.self)
            // Checkpoint moved, profile locked, nothing committed.
            let consumer = database.consumer {
                resolves.finish()
                for await _ in goesOn {}
            }
            async let drained = consumer.drain()
            for await _ in resolved {}
            async let counts = world.erase(request, at: privacy)
            while !Task.isCancelled,
                try await database.owner.query(
                    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                ).isEmpty
            { await Task.yield() }
            go.finish()
            #expect(try await drained == 1)
            #expect(try await counts["timelineEntries"] == 3)
            try await world.tellIngestion()
            try await world.expectNothing(of: "u")
            #expect(try await world.rawMessages().isEmpty)
        }
    }

    @Test("while ingestion is away nobody is erased, because nobody knows what it holds")
    func ingestionAway() async throws {
        struct Away: StreamReader {
            struct NotThere: Error {}
            func read(
                _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
            ) async throws -> [StreamRecord] { throw NotThere() }
            func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] { throw NotThere() }
        }
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            let request = try await world.request("u")
            try await world.expectToWait(request, at: database.privacy(reader: Away()))
            #expect(try await world.people("u") != nil)
        }
    }

    @Test("events of the person that could not be resolved go too, those of others stay")
    func unresolved() async throws {
        try await IdentityDatabase.with { database in
            let world = ErasureWorld(database)
            try await world.resolve([first])
            let key = IdentityDatabase.key
            for (offset, name) in ["u", "somebody else"].enumerated() {
                try await database.owner.execute(
                    """
                    INSERT INTO identity.stream_quarantine
                        (consumer, stream, shard, "offset", key, recorded_at, body, error, quarantined_at)
                    VALUES ('identity', 'events', \(Shard(hashing: name)), \(-Int64(offset)), \(key.mark(of: name)),
                        now(), '{}', 'broken', now())
                    """)
            }
            let counts = try await world.erase(try await world.request("u"), at: database.privacy())
            #expect(counts["unresolvedEvents"] == 1)
            #expect(try await database.owner.query("SELECT FROM identity.stream_quarantine").count == 1)
        }
    }

    @Test(
        "whatever comes between reading, resolving, asking and erasing, an event is in both logs or in neither"
    )
    func random() async throws {
        var generator = seededGenerator()
        for _ in 0..<3 {
            let seed = generator.next()
            try await IdentityDatabase.with { database in
                let chaos = ErasureChaos(database, seed: seed)
                for _ in 0..<25 { try await chaos.step() }
                try await chaos.finish()
                try await chaos.check()
            }
        }
    }
}

/// Lets something happen after a page was read, before it is processed.
struct PausedReader: StreamReader {
    let pool: PostgresPool
    let pause: @Sendable () async throws -> Void

    init(_ pool: PostgresPool, pause: @escaping @Sendable () async throws -> Void) {
        self.pool = pool
        self.pause = pause
    }

    func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord] {
        let page = try await DatabaseStreamReader(pool: pool).read(
            stream, after: positions, limit: limit, wait: wait)
        if !page.isEmpty { try await pause() }
        return page
    }

    func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] {
        try await DatabaseStreamReader(pool: pool).heads(stream)
    }
}

/// Identity's database with requests, and with what ingestion does when it is told of an erasure.
struct ErasureWorld: Sendable {
    let database: IdentityDatabase

    init(_ database: IdentityDatabase) { self.database = database }

    func resolve(_ events: [TrackingEvent], byDevice: Bool = false) async throws {
        try await database.publish(events, byDevice: byDevice)
        try await database.consumer().drain()
    }

    func people(_ user: String) async throws -> ProfileID? {
        guard let user = Identifier(.userID, user) else { return nil }
        return try await database.store.canonicalID(of: user, in: database.pool)
    }

    func request(_ user: String, number: Int = 0) async throws -> PrivacyRequest {
        let id = try #require(try await people(user))
        let person = try #require(try await database.store.person(id, in: database.pool))
        return PrivacyRequest(
            id: PrivacyRequestID(UUIDv7.derived(at: start, from: "request", "\(number)")), type: .erasure,
            profileID: id, profileIDs: person.memberIDs, requestedAt: start)
    }

    @discardableResult
    func erase(_ request: PrivacyRequest, at privacy: IdentityPrivacy) async throws -> JSON {
        try await database.pool.transaction { try await privacy.erase(request, in: $0) }
    }

    func expectToWait(_ request: PrivacyRequest, at privacy: IdentityPrivacy) async throws {
        await #expect(throws: RetryLater.self) { try await erase(request, at: privacy) }
    }

    /// Has the raw log do what identity asks ingestion for, as `RawEventStore` does it.
    func tellIngestion() async throws {
        let outbox = Outbox(schema: "identity", vault: database.store.vault)
        for told in try await outbox.bodies(to: .ingestion, in: database.pool) {
            func texts(_ json: JSON?) -> [String] { json?.array?.compactMap(\.string) ?? [] }
            let names = Set(texts(told["subjects"])).subtracting(texts(told["sharedSubjects"]))
            let messages = told["messages"]?.object ?? [:]
            try await database.owner.execute(
                """
                UPDATE ingestion.stream_events SET body = '{"kind":"erased"}', key = 'erased'
                WHERE key = ANY(\(names.sorted())::text[])
                    AND "offset" <= coalesce((\(told["upTo"] ?? .null)::jsonb->>(shard::text))::bigint, 0)
                    OR key = ANY(\(messages.keys.sorted())::text[])
                    AND (body::jsonb->>'sourceId') || ' ' || (body::jsonb->>'messageId')
                        = ANY(\(messages.values.flatMap { texts($0) })::text[])
                """)
        }
        try await database.owner.execute("DELETE FROM identity.outbox")
    }

    func rawMessages() async throws -> [String] {
        try await database.owner.query("SELECT body FROM ingestion.stream_events")
            .compactMap { try $0.get("body", as: JSON.self)["messageId"]?.string }.sorted()
    }

    func timelineMessages() async throws -> [String] {
        try await database.timeline().compactMap { $0.body[path: "event.messageId"]?.string }.sorted()
    }

    func expectNothing(of user: String) async throws {
        #expect(try await people(user) == nil)
        #expect(try await timelineMessages().isEmpty)
        for table in ["identifier", "trait", "data_key", "search_prefix"] {
            let rows = try await database.owner.query("SELECT FROM profiles.\(unsafe: table)")
            #expect(rows.isEmpty, "\(table)")
        }
    }
}

/// Random things in random order, also in between of others.
private actor ErasureChaos {
    /// A request of somebody's, with how many events there were before it, and before it was carried out.
    private struct Asked {
        let person: Int
        let request: PrivacyRequest
        let before: Int
        var erasedBefore: Int?
    }

    private static let persons = 3
    private let world: ErasureWorld
    private var generator: SeededGenerator
    private var owners: [Int] = []
    private var asked: [Asked] = []
    private var instances: [IdentityPrivacy]
    private var depth = 0

    init(_ database: IdentityDatabase, seed: UInt64) {
        world = ErasureWorld(database)
        generator = SeededGenerator(seed: seed)
        instances = [database.privacy(), database.privacy()]
    }

    func step() async throws {
        switch Int.random(in: 0..<12, using: &generator) {
        case 0..<4: try await publish()
        case 4..<7: try await drain()
        case 7: try await ask()
        case 8..<10: try await carryOut()
        case 10: instances[Int.random(in: 0..<2, using: &generator)] = world.database.privacy()
        default: try await world.tellIngestion()
        }
    }

    private func publish() async throws {
        let events = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
            let person = Int.random(in: 0..<Self.persons, using: &generator)
            owners.append(person)
            let device = Bool.random(using: &generator) ? "d\(person)" : nil
            return event(
                owners.count - 1, .identify, user: "u\(person)", device: device, email: "e\(person)@x.org")
        }
        try await world.database.publish(events)
    }

    /// An instance goes on, and while it has a page in memory other things happen.
    private func drain() async throws {
        guard depth < 3 else { return }
        depth += 1
        defer { depth -= 1 }
        let page = PausedReader(world.database.owner) { [self] in
            if await flip() { try await step() }
        }
        do {
            try await world.database.consumer(batch: 200, reader: page).drain()
        } catch is StreamError {
            // Another was quicker, or has gone on from elsewhere: it begins again from what is committed.
        } catch is RetryLater {}
    }

    private func flip() -> Bool { Bool.random(using: &generator) }

    private func ask() async throws {
        let person = Int.random(in: 0..<Self.persons, using: &generator)
        guard !asked.contains(where: { $0.person == person && $0.erasedBefore == nil }),
            try await world.people("u\(person)") != nil
        else { return }
        let before = owners.count
        let request = try await world.request("u\(person)", number: asked.count)
        asked.append(Asked(person: person, request: request, before: before))
    }

    private func carryOut() async throws {
        let open = asked.indices.filter { asked[$0].erasedBefore == nil }
        guard let place = open.randomElement(using: &generator) else { return }
        let instance = instances[Int.random(in: 0..<2, using: &generator)]
        do { try await world.erase(asked[place].request, at: instance) } catch is RetryLater { return }
        asked[place].erasedBefore = owners.count
    }

    func finish() async throws {
        try await world.database.consumer(batch: 200).drain()
        while asked.contains(where: { $0.erasedBefore == nil }) { try await carryOut() }
        try await world.tellIngestion()
        try await world.database.consumer(batch: 200).drain()
    }

    func check() async throws {
        let raw = Set(try await world.rawMessages())
        let timeline = Set(try await world.timelineMessages())
        #expect(raw == timeline)
        for (number, person) in owners.enumerated() {
            let erasures = asked.filter { $0.person == person }
            if erasures.contains(where: { number < $0.before }) {
                #expect(!raw.contains("m\(number)"), "it was there when the person asked")
            } else if !erasures.contains(where: { number < $0.erasedBefore ?? .max }) {
                #expect(raw.contains("m\(number)"), "it came after the person was erased")
            }
        }
        for person in 0..<Self.persons {
            let isThere = owners.enumerated().contains { $1 == person && raw.contains("m\($0)") }
            #expect(try await (world.people("u\(person)") != nil) == isThere)
        }
    }
}
