import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Retention of what is collected",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct IngestionRetentionTests {
    /// Ingestion with a source, the day of `noon`.
    private func with(
        settings: [String: String] = [:],
        _ body: (ServiceHarness, SimulatedClock, TestDatabase, String) async throws -> Void
    ) async throws {
        let database = try await TestDatabase.make(services: [ingestionService])
        let clock = SimulatedClock(Instant(milliseconds: 1_795_003_200_000))
        try await ServiceHarness.with(
            ingestionService, database: database, clock: clock, workers: false, settings: settings,
            others: [.consent: "http://127.0.0.1:9"]
        ) { service in
            let source = try await service.request("POST", "/v1/sources", json: ["name": "web"])
            let id = try #require(source.json["sourceId"]?.string)
            let key = try await service.request("POST", "/v1/sources/\(id)/write-keys")
            try await body(service, clock, database, try #require(key.json["writeKey"]?.string))
        }
    }

    /// Two events that are taken in and one that is not.
    private func collect(_ service: ServiceHarness, _ key: String, _ name: String) async throws {
        let answer = try await service.request(
            "POST", "/v1/batch",
            json: [
                "writeKey": .string(key),
                "batch": [
                    ["type": "track", "event": "a", "userId": "u", "messageId": .string(name + "1")],
                    ["type": "track", "event": "b", "userId": "v", "messageId": .string(name + "2")],
                    ["type": "track", "event": "nobody", "messageId": .string(name + "3")],
                ],
            ], as: .none)
        #expect(answer.json["accepted"] == 2 && answer.json["quarantined"] == 1, "\(answer.text)")
    }

    private func left(_ service: ServiceHarness) async throws -> [Int] {
        let pool = service.context.pool
        return [
            try await pool.query("SELECT FROM stream_events WHERE key <> 'erased'").count,
            try await pool.query("SELECT FROM quarantine WHERE item IS NOT NULL").count,
            try await pool.query("SELECT FROM day_key WHERE day <= 20780").count,
        ]
    }

    @Test(
        "events and quarantine go by the policy each in its time, rows and accounts stay, and keys go with the later"
    )
    func policy() async throws {
        try await with(settings: ["MARTLET_INGESTION_RETENTION": "7d"]) { service, clock, database, key in
            try await service.keep(["keep": ["rawEvents": "10d", "quarantine": "20d"]], in: database)
            try await collect(service, key, "old")
            clock.advance(by: .days(5))
            try await collect(service, key, "new")
            let worker = try service.retention(limit: 1)
            // What the setting says counts for nothing once there is a policy.
            clock.advance(by: .days(4))
            #expect(try await worker.sweep() == 0)
            clock.advance(by: .days(2))
            try await worker.sweep()
            #expect(try await left(service) == [2, 2, 2])
            clock.advance(by: .days(10))
            try await worker.sweep()
            #expect(try await left(service) == [0, 1, 1])
            clock.advance(by: .days(10))
            try await worker.sweep()
            #expect(try await left(service)[1] == 0)
            #expect(try await service.context.pool.query("SELECT FROM stream_events").count == 4)
            #expect(try await service.context.pool.query("SELECT FROM quarantine").count == 2)
            let gone = try await service.letGo()
            #expect(gone["rawEvents"] == 4 && gone["quarantine"] == 2, "\(gone)")
            #expect(gone["rawEvents keys of days"] == 2, "\(gone)")
        }
    }

    @Test("until there is a policy the setting holds")
    func setting() async throws {
        try await with(settings: ["MARTLET_INGESTION_RETENTION": "7d"]) { service, clock, database, key in
            try await collect(service, key, "old")
            clock.advance(by: .days(9))
            let worker = try service.retention()
            #expect(try await worker.sweep() == 0)
            try await service.keep([:], in: database, by: "migration")
            try await worker.sweep()
            #expect(try await left(service) == [0, 0, 0])
        }
    }
}
