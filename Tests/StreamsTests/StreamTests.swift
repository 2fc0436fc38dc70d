import Foundation
import Logging
import Models
import Postgres
import ServiceLifecycle
import Streams
import Synchronization
import TestSupport
import Testing

@Suite("Streams", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct StreamTests {
    private func seed() -> UInt64 {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap(UInt64.init)
            ?? .random(in: 1...1 << 40)
        print("seed \(seed)")
        return seed
    }

    @Test("concurrent appenders leave gapless offsets in commit order, also when some roll back")
    func gapless() async throws {
        struct Abort: Error {}
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool(maxConnections: 8)
        let writer = StreamWriter(fixture.stream)
        let seed = seed()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var random = SeededGenerator(seed: seed &+ UInt64(task))
                    for round in 0..<20 {
                        let records = (0..<Int.random(in: 1...6, using: &random)).map { index in
                            NewRecord(
                                shard: Shard.all[Int.random(in: 0..<5, using: &random)], key: "k",
                                body: [
                                    "task": .integer(Int64(task)), "round": .integer(Int64(round)),
                                    "index": .integer(Int64(index)),
                                ])
                        }
                        let fails = Int.random(in: 0..<4, using: &random) == 0
                        try? await pool.transaction { transaction in
                            try await writer.append(records, at: Instant(milliseconds: 0), in: transaction)
                            if fails { throw Abort() }
                        }
                    }
                }
            }
        }
        let rows = try await pool.query(
            """
            SELECT s.shard, count(*) AS records, max(s."offset") AS last, min(s."offset") AS first, h.next_offset
            FROM ingestion.stream_events s JOIN ingestion.stream_head h ON h.shard = s.shard AND h.stream = 'events'
            GROUP BY s.shard, h.next_offset
            """)
        #expect(rows.count == 5)
        for row in rows {
            let records = try row.get("records", as: Int64.self)
            #expect(try row.get("first", as: Int64.self) == 1)
            #expect(try row.get("last", as: Int64.self) == records)
            #expect(try row.get("next_offset", as: Int64.self) == records + 1)
        }
        await pool.close()
    }

    @Test(
        "a consumer lets each record take effect once and in order, whatever is rolled back, also in several transactions at once",
        arguments: [1, 3])
    func exactlyOnce(lanes: Int) async throws {
        struct Crash: Error {}
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool(maxConnections: 8)
        let seed = seed()
        let random = Mutex(SeededGenerator(seed: seed))
        for index in 0..<300 {
            try await fixture.append([["n": .integer(Int64(index))]], key: "k\(index % 17)", pool: pool)
        }
        // A third of the attempts dies after its effects and before the commit, as a killed process would.
        let consumer = fixture.consumer(pool: pool, batch: 20, lanes: lanes) { batch, transaction in
            try await StreamFixture.record(batch, in: transaction)
            if random.withLock({ Int.random(in: 0..<3, using: &$0) }) == 0 { throw RetryLater("died") }
        }
        var done = false
        while !done {
            do {
                try await consumer.drain()
                done = true
            } catch is RetryLater {}
        }
        #expect(try await fixture.effectsAreExactlyTheStream(pool: pool))
        await pool.close()
    }

    @Test("several instances share the shards, are killed at random, and still nothing is lost or doubled")
    func competingConsumers() async throws {
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool(maxConnections: 6)
        let seed = seed()
        var random = SeededGenerator(seed: seed)
        let appender = Task {
            for index in 0..<400 {
                // A commit whose answer was lost may be there twice; what counts is that effects equal the stream.
                try await retrying {
                    try await fixture.append(
                        [["n": .integer(Int64(index))]], key: "k\(index % 31)", pool: pool)
                }
            }
        }
        for _ in 0..<6 {
            let instances = (0..<3).map { _ in
                let own = fixture.database.pool(maxConnections: 4)
                return (own, Task { try await fixture.consumer(pool: own, batch: 15, lanes: 2).run() })
            }
            // Killed in the middle of whatever they do: the connections go first, then the tasks.
            let until = try await effectCount(pool: pool) + Int.random(in: 5...60, using: &random)
            try await reach(until, of: 400, pool: pool)
            _ = try? await pool.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5
                """)
            for (own, task) in instances {
                task.cancel()
                _ = try? await task.value
                await own.close()
            }
        }
        try await appender.value
        let last = fixture.database.pool(maxConnections: 3)
        try await retrying { try await fixture.consumer(pool: last).drain() }
        let check = fixture.database.pool()
        let stored = try await check.query("SELECT count(*) AS n FROM ingestion.stream_events").first?
            .get("n", as: Int64.self)
        #expect(stored ?? 0 > 0)
        #expect(try await fixture.effectsAreExactlyTheStream(pool: check))
        await last.close()
        await check.close()
        await pool.close()
    }

    @Test("lanes have whole shards in their order, each of them once, and about as much to do")
    func lanes() {
        var random = SeededGenerator(seed: seed())
        for _ in 0..<200 {
            var offsets: [Shard: Int64] = [:]
            let records = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                let shard = Shard.all[Int.random(in: 0..<9, using: &random)]
                offsets[shard, default: 0] += 1
                return StreamRecord(
                    shard: shard, offset: offsets[shard] ?? 0, key: "", recordedAt: Instant(milliseconds: 0),
                    body: .null)
            }
            let parts = StreamConsumer.lanes(of: records, Int.random(in: 1...4, using: &random))
            #expect(parts.map(\.count).reduce(0, +) == records.count)
            for (place, part) in parts.enumerated() {
                let shards = Set(part.map(\.shard))
                #expect(parts[(place + 1)...].allSatisfy { shards.isDisjoint(with: $0.map(\.shard)) })
                for shard in shards {
                    let own = part.filter { $0.shard == shard }.map(\.offset)
                    #expect(own == Array(1...(offsets[shard] ?? 0)))
                }
            }
            let largest = offsets.values.max() ?? 0
            let counts = parts.map(\.count)
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= Int(largest))
        }
    }

    @Test("a poison record goes to quarantine with its error, and its neighbours take effect")
    func quarantine() async throws {
        struct Poison: Error {}
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool()
        try await fixture.append((0..<40).map { ["n": .integer($0)] }, key: "k", pool: pool)
        let consumer = fixture.consumer(pool: pool, batch: 64 * 40) { batch, transaction in
            if batch.records.contains(where: { $0.body["n"] == 17 || $0.body["n"] == 18 }) { throw Poison() }
            try await StreamFixture.record(batch, in: transaction)
        }
        try await consumer.drain()
        let effects = try await fixture.effects(pool: pool)
        #expect(effects.map(\.offset) == (1...40).filter { $0 != 18 && $0 != 19 })
        let held = try await pool.query(
            #"SELECT "offset", error, body FROM identity.stream_quarantine ORDER BY "offset""#)
        #expect(try held.map { try $0.get("offset", as: Int64.self) } == [18, 19])
        #expect(try held.first?.get("error", as: String.self).contains("Poison") == true)
        #expect(try held.first?.get("body", as: String.self) == #"{"n":17}"#)
        await pool.close()
    }

    @Test("an instance that lost its lease cannot let a record take effect again")
    func fencing() async throws {
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool()
        try await fixture.append([["n": 1]], key: "k", pool: pool)
        // While the first is in its transaction's start, a second processes the same record and commits.
        let second = fixture.consumer(pool: pool)
        let reader = InterruptedReader(pool: pool) { try await second.drain() }
        let first = fixture.consumer(pool: pool, reader: reader)
        await #expect(throws: StreamError.self) { try await first.drain() }
        #expect(try await fixture.effects(pool: pool).count == 1)
        await pool.close()
    }

    @Test("a long poll is woken by an append and answers with it")
    func longPoll() async throws {
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool()
        let hub = WakeHub(pool: pool, channels: [fixture.stream.channel])
        let hubTask = Task { try await hub.run() }
        let feed = StreamFeed(fixture.stream, pool: pool, hub: hub)
        let shard = Shard(hashing: "k")
        async let lines = feed.lines(after: [shard: 0], limit: 10, wait: .seconds(20))
        try await fixture.append([["n": 1]], key: "k", pool: pool)
        let text = String(decoding: try await lines, as: UTF8.self)
        #expect(text.hasSuffix(",\"body\":{\"n\":1}}\n"))
        #expect(text.contains(#""offset":1"#))
        hubTask.cancel()
        _ = try? await hubTask.value
        await pool.close()
    }

    @Test("facts go first: what was there when asked, and not what comes in the meantime")
    func factsFirst() async throws {
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool()
        let consumer = fixture.consumer(pool: pool)
        let facts = FactsFirst([consumer])
        #expect(try await facts.haveBeenProcessed())
        try await fixture.append([["n": 1]], key: "k", pool: pool)
        #expect(try await !facts.haveBeenProcessed())
        try await consumer.drain()
        try await fixture.append([["n": 2]], key: "k", pool: pool)
        #expect(try await facts.haveBeenProcessed())
        #expect(try await !facts.haveBeenProcessed())
        await pool.close()
    }

    @Test("what is done once waits for all that was there when it was first asked for, and for nothing else")
    func factsBefore() async throws {
        let fixture = try await StreamFixture.make()
        let pool = fixture.database.pool()
        let consumer = fixture.consumer(pool: pool)
        let facts = FactsBefore<String>(consumer)
        try await fixture.append([["n": 1]], key: "k", pool: pool)
        #expect(try await !facts.haveBeenProcessed(before: "a", in: pool))
        try await consumer.drain()
        try await fixture.append([["n": 2]], key: "k", pool: pool)
        #expect(try await !facts.haveBeenProcessed(before: "b", in: pool))
        #expect(try await facts.haveBeenProcessed(before: "a", in: pool))
        #expect(try await facts.positions(in: pool) == [Shard(hashing: "k"): 1])
        // Asked anew, it is about now; and another process has no mark of it.
        #expect(try await !facts.haveBeenProcessed(before: "a", in: pool))
        #expect(try await !FactsBefore<String>(consumer).haveBeenProcessed(before: "b", in: pool))
        try await consumer.drain()
        #expect(try await facts.haveBeenProcessed(before: "b", in: pool))
        await pool.close()
    }

    // MARK: Waiting for progress

    private func effectCount(pool: PostgresPool) async throws -> Int {
        try await retrying {
            Int(
                try await pool.query("SELECT count(*) AS n FROM identity.effect").first?.get(
                    "n", as: Int64.self) ?? 0)
        }
    }

    /// Waits until that many effects are there, or all of them.
    private func reach(_ wanted: Int, of all: Int, pool: PostgresPool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try await effectCount(pool: pool) < min(wanted, all), ContinuousClock.now < deadline {
            await Task.yield()
        }
    }

    /// Tries again when the connection was one of those that the test kills.
    @discardableResult
    private func retrying<T>(_ body: () async throws -> T) async throws -> T {
        for _ in 0..<20 {
            do { return try await body() } catch let error as PostgresError where error.isTransient {
                continue
            }
        }
        return try await body()
    }
}

/// Lets something happen between reading a page and processing it.
private struct InterruptedReader: StreamReader {
    let pool: PostgresPool
    let interruption: @Sendable () async throws -> Void

    func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord] {
        let page = try await DatabaseStreamReader(pool: pool).read(
            stream, after: positions, limit: limit, wait: wait)
        try await interruption()
        return page
    }

    func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] {
        try await DatabaseStreamReader(pool: pool).heads(stream)
    }
}
