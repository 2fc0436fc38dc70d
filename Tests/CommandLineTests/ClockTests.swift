import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import CommandLine

@Suite(.enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ClockTests {
    /// A database with the standard tables of every service, and a table of deadlines for two of them.
    private func database() async throws -> TestDatabase {
        let deadline = Migration(
            version: 1, name: "deadline",
            sql: "CREATE TABLE deadline (key text PRIMARY KEY, due_at timestamptz NOT NULL)")
        let imports = Migration(version: 1, name: "imports", sql: "CREATE TABLE import (state text NOT NULL)")
        var migrators = [Migrator(schema: "platform", migrations: Schema.platformMigrations)]
        for service in ServiceName.deployed {
            let own = service == .journeys || service == .segmentation ? [deadline] : []
            migrators.append(Migrator(service: service, migrations: service == .ingestion ? [imports] : own))
        }
        return try await TestDatabase.make(migrators)
    }

    @Test("a look tells what is on its way, and nothing once it is done")
    func look() async throws {
        let database = try await database()
        let pool = database.pool()
        let observer = try await PlatformObserver(pool: pool)
        #expect(try await observer.look().isDrained)
        try await pool.execute(
            "INSERT INTO ingestion.stream_head (stream, shard, next_offset) VALUES ('events', 3, 8), ('events', 4, 2)"
        )
        try await pool.execute(
            """
            INSERT INTO identity.stream_checkpoint (consumer, stream, shard, "offset")
            VALUES ('identity', 'events', 3, 5)
            """)
        var look = try await observer.look()
        #expect(look.lags == [.init(service: "identity", consumer: "identity", stream: "events", records: 3)])
        #expect(look.waitingFor == "identity has 3 of events before it")
        try await pool.execute("UPDATE identity.stream_checkpoint SET \"offset\" = 7")
        try await pool.execute(
            """
            INSERT INTO identity.stream_checkpoint (consumer, stream, shard, "offset")
            VALUES ('identity', 'events', 4, 1)
            """)
        try await pool.execute(
            """
            INSERT INTO journeys.outbox (outbox_id, target, method, path, body, next_attempt_at, created_at)
            VALUES (gen_random_uuid(), 'ingestion', 'POST', '/', '{}', now(), now()),
                   (gen_random_uuid(), 'ingestion', 'POST', '/', '{}', 'infinity', now())
            """)
        look = try await observer.look()
        #expect(look.lags.isEmpty)
        #expect(look.outbox == ["journeys": 1])
        try await pool.execute("DELETE FROM journeys.outbox")
        try await pool.execute("INSERT INTO ingestion.import VALUES ('running'), ('paused'), ('done')")
        look = try await observer.look()
        #expect(!look.isDrained)
        #expect(look.waitingFor == "ingestion has 1 files to take in")
        try await pool.execute("UPDATE ingestion.import SET state = 'done'")
        #expect(try await observer.drained().isDrained)
        await pool.close()
    }

    @Test("the clock stops at every deadline, in order, across services, and then at its target")
    func advance() async throws {
        let database = try await database()
        let pool = database.pool()
        let start = Instant(milliseconds: 1_700_000_000_000)
        _ = try await Installation.create(rehearsal: true, startingAt: start, pool: pool)
        for (schema, key, minutes) in [
            ("journeys", "a", 90), ("segmentation", "b", 30), ("journeys", "c", 600),
        ] {
            try await pool.execute(
                "INSERT INTO \(unsafe: schema).deadline (key, due_at) VALUES (\(key), \(start + .minutes(minutes)))"
            )
        }
        let advancer = try await ClockAdvancer(pool: pool)
        let stops = Stops()
        // What the services do: fire what is due. One deadline brings a new one.
        let steps = try await advancer.advance(to: start + .hours(3)) { now in
            await stops.add(now)
            for schema in ["journeys", "segmentation"] {
                try await pool.execute("DELETE FROM \(unsafe: schema).deadline WHERE due_at <= \(now)")
            }
            if now == start + .minutes(30) {
                try await pool.execute(
                    "INSERT INTO segmentation.deadline (key, due_at) VALUES ('d', \(now + .milliseconds(1)))")
            }
        }
        #expect(
            await stops.all == [
                start + .minutes(30), start + .minutes(30) + .milliseconds(1), start + .minutes(90),
                start + .hours(3),
            ])
        #expect(steps == 4)
        #expect(try await advancer.now() == start + .hours(3))
        await pool.close()
    }

    @Test("where time is real the clock cannot be moved")
    func refused() async throws {
        let database = try await database()
        let pool = database.pool()
        _ = try await Installation.create(rehearsal: false, startingAt: Instant(milliseconds: 0), pool: pool)
        let advancer = try await ClockAdvancer(pool: pool)
        await #expect(throws: ClockError.self) { try await advancer.now() }
        await #expect(throws: ClockError.self) { try await advancer.advance(to: .distantFuture) }
        await pool.close()
    }

    private actor Stops {
        private(set) var all: [Instant] = []
        func add(_ instant: Instant) { all.append(instant) }
    }
}
