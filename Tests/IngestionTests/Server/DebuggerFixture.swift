import Foundation
import Models
import Postgres
import Sealing
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

/// Instances of ingestion at work on one database, with one source.
struct Debugged: Sendable {
    let instances: [ServiceHarness]
    let database: TestDatabase
    let clock: SimulatedClock
    let sourceID: SourceID
    let key: String

    var service: ServiceHarness { instances[0] }
    var days: DayKeys { service.context.vault.days }
    var path: String { "/v1/sources/\(sourceID)/debugger" }

    static func with(
        instances count: Int = 1, settings: [String: String] = [:], _ body: (Debugged) async throws -> Void
    ) async throws {
        let database = try await TestDatabase.make(services: [ingestionService])
        try await start(count, [], database, SimulatedClock(noon), settings, body)
    }

    private static func start(
        _ count: Int, _ running: [ServiceHarness], _ database: TestDatabase, _ clock: SimulatedClock,
        _ settings: [String: String], _ body: (Debugged) async throws -> Void
    ) async throws {
        if running.count < count {
            return try await ServiceHarness.with(
                ingestionService, database: database, clock: clock, settings: settings
            ) { try await start(count, running + [$0], database, clock, settings, body) }
        }
        // What came before an instance knows of the erasures that were is not shown.
        for instance in running {
            for case let publisher as RecentItemPublisher in instance.running.parts.workers {
                try await publisher.look()
            }
        }
        let source = try await running[0].request("POST", "/v1/sources", json: ["name": "web"])
        let id = try #require(source.json["sourceId"]?.string)
        let key = try await running[0].request("POST", "/v1/sources/\(id)/write-keys")
        try await body(
            Debugged(
                instances: running, database: database, clock: clock, sourceID: try #require(SourceID(id)),
                key: try #require(key.json["writeKey"]?.string)))
    }

    /// Sends a track call, and says what became of it.
    @discardableResult
    func track(_ id: String, _ more: [String: JSON] = [:], to instance: Int = 0) async throws -> String? {
        let event: [String: JSON] = ["event": "Viewed", "userId": "u", "messageId": .string(id)]
        let answer = try await instances[instance].request(
            "POST", "/v1/track", json: .object(event.merging(more) { $1 }), as: .basic(user: key))
        return answer.json[path: "items.0.status"]?.string
    }

    /// Sends many in one call.
    func batch(_ count: Int, _ name: String = "b") async throws {
        let items = (0..<count).map { index -> JSON in
            [
                "type": "track", "event": "Viewed", "userId": "u",
                "messageId": .string("\(name)\(index)"),
            ]
        }
        let answer = try await service.request(
            "POST", "/v1/batch", json: ["batch": .array(items)], as: .basic(user: key))
        #expect(answer.json["accepted"]?.integer == Int64(count))
    }

    func count(_ query: SQL) async throws -> Int {
        let pool = database.pool(maxConnections: 1)
        let count = try await pool.query(query).first?.get("n", as: Int.self) ?? -1
        await pool.close()
        return count
    }

    /// Waits until every instance has heard of so many erasures.
    func untilHeard(erasures: Int64) async {
        for instance in instances {
            for case let publisher as RecentItemPublisher in instance.running.parts.workers {
                while publisher.recent.held(of: sourceID)?.erasures != erasures, !Task.isCancelled {
                    await Task.yield()
                }
            }
        }
    }

    /// Asks until nobody watches any more; the time limit of the suite ends it otherwise.
    func untilNobodyWatches() async throws {
        while try await count("SELECT count(*) AS n FROM ingestion.debugger_watch") > 0 {
            try Task.checkCancellation()
        }
    }
}

extension ServerSentEvent {
    /// The data, read.
    var json: JSON { (try? JSONParser.parse(Array(data.utf8)[...])) ?? .null }
    var messageID: String? { json["messageId"]?.string }
}
