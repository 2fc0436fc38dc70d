import Foundation
import IngestionDomain
import Logging
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IngestionServer

/// A running ingestion with one source.
struct Collecting: Sendable {
    let service: ServiceHarness
    let database: TestDatabase
    let clock: SimulatedClock
    let sourceID: SourceID
    let key: String

    static func with(
        settings: [String: String] = [:], _ body: (Collecting) async throws -> Void
    ) async throws {
        let database = try await TestDatabase.make(services: [ingestionService])
        let clock = SimulatedClock(noon)
        try await ServiceHarness.with(
            ingestionService, database: database, clock: clock, workers: false, settings: settings
        ) { service in
            let source = try await service.request("POST", "/v1/sources", json: ["name": "web"])
            let id = try #require(source.json["sourceId"]?.string)
            let key = try await service.request("POST", "/v1/sources/\(id)/write-keys")
            try await body(
                Collecting(
                    service: service, database: database, clock: clock, sourceID: try #require(SourceID(id)),
                    key: try #require(key.json["writeKey"]?.string)))
        }
    }

    func send(_ call: String, _ json: JSON) async throws -> ServiceHarness.Answer {
        try await service.request("POST", "/v1/\(call)", json: json, as: .basic(user: key))
    }

    /// The bodies of the raw log, by shard and offset.
    func stored() async throws -> [TrackingEvent] {
        let pool = database.pool(maxConnections: 1)
        let vault = service.context.vault
        let everything = Dictionary(uniqueKeysWithValues: Shard.all.map { ($0, Int64(0)) })
        let records = try await DatabaseStreamReader(pool: pool, vault: { _ in vault })
            .read(.events, after: everything, limit: 6_400_000, wait: .zero)
        await pool.close()
        return try records.map { try TrackingEvent(json: $0.body) }
    }

    /// What people's names are hashed with, and what is sealed with.
    var profiles: ProfileStore {
        ProfileStore(key: IdentifierKey(secret: ServiceHarness.secret), vault: service.context.vault)
    }

    func reconciliation() async throws -> JSON {
        try await service.request("GET", "/v1/reconciliation").json
    }
}

@Suite("Collecting", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct CollectTests {
    @Test("every call is stored before it is answered, with the write key as user or in the body")
    func calls() async throws {
        try await Collecting.with { collecting in
            let calls: [(String, JSON)] = [
                ("identify", ["userId": "u", "traits": ["email": "a@example.com"]]),
                ("track", ["userId": "u", "event": "x"]), ("page", ["anonymousId": "a", "name": "Home"]),
                ("screen", ["anonymousId": "a"]), ("group", ["userId": "u", "groupId": "g"]),
                ("alias", ["userId": "u", "previousId": "a"]),
                ("batch", ["batch": [["type": "track", "event": "y", "userId": "u"]]]),
            ]
            for (call, json) in calls {
                let answer = try await collecting.send(call, json)
                #expect(answer.status == 200, "\(call): \(answer.text)")
                #expect(answer.json["accepted"] == 1)
                #expect(answer.json[path: "items.0.status"] == "accepted")
                #expect(answer.headers["access-control-allow-origin"] == "*")
            }
            #expect(try await collecting.stored().count == 7)
            #expect(try await collecting.stored().allSatisfy { $0.sourceID == collecting.sourceID })

            let inBody = try await collecting.service.request(
                "POST", "/v1/track",
                body: Array(#"{"writeKey":"\#(collecting.key)","event":"z","userId":"u"}"#.utf8),
                headers: ["Content-Type": "text/plain;charset=UTF-8"], as: .none)
            #expect(inBody.status == 200, "\(inBody.text)")
            #expect(try await !collecting.stored().contains { $0.json.compact.contains(collecting.key) })
        }
    }

    @Test("without a good key nothing is taken, and a revoked one is forgotten soon")
    func keys() async throws {
        try await Collecting.with { collecting in
            let event: JSON = ["userId": "u", "event": "x"]
            for credential in [.none, .basic(user: "wk_wrong"), .basic(user: ""), .bearer("x")]
                as [ServiceHarness.Credential]
            {
                let answer = try await collecting.service.request(
                    "POST", "/v1/track", json: event, as: credential)
                #expect(answer.status == 401)
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            let source = try await collecting.service.request("GET", "/v1/sources/\(collecting.sourceID)")
                .json
            let id = try #require(source[path: "writeKeys.0.writeKeyId"]?.string)
            #expect(!source.compact.contains(collecting.key))
            let path = "/v1/sources/\(collecting.sourceID)/write-keys/\(id)"
            #expect(try await collecting.service.request("DELETE", path).status == 204)
            #expect(try await collecting.service.request("DELETE", path).status == 204)
            #expect(try await collecting.send("track", event).status == 401)
            #expect(try await collecting.stored().isEmpty)
        }
    }

    @Test("a bad item costs its neighbours nothing, and each has its verdict in its place")
    func verdicts() async throws {
        try await Collecting.with { collecting in
            let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
            let body = """
                {"batch":[{"type":"track","event":"a","userId":"u","messageId":"1"},
                {"type":"track","event":"\\u0000","userId":"u","messageId":"2"},{"type":"track"},5,\(deep),
                {"type":"track","event":"b","userId":"u","messageId":"1"},
                {"type":"track","event":"c","userId":"u","messageId":"3","timestamp":"9999-01-01T00:00:00Z"},
                {"type":"track","event":"d","userId":"u","messageId":"4","timestamp":"0001-01-01T00:00:00Z"}]}
                """
            let answer = try await collecting.service.request(
                "POST", "/v1/batch", body: Array(body.utf8), as: .basic(user: collecting.key))
            #expect(answer.status == 200, "\(answer.text)")
            let items = try #require(answer.json["items"]?.array)
            #expect(
                items.map { $0["status"]?.string } == [
                    "accepted", "quarantined", "quarantined", "refused", "quarantined", "duplicate",
                    "accepted",
                    "quarantined",
                ])
            #expect(items[1]["messageId"] == "2")
            #expect(items[1]["reason"]?.string?.hasPrefix("unstorable: ") == true)
            #expect(items[3]["messageId"]?.isNull == true)
            #expect(items[4]["reason"]?.string?.hasPrefix("too-deep: ") == true)
            #expect(try await collecting.stored().map(\.messageID).sorted() == ["1", "3"])
            let account = try await collecting.reconciliation()
            #expect(account["balanced"] == true)
            #expect(account[path: "items.0.received"] == 8)
            #expect(account[path: "items.0.accepted"] == 2)
            #expect(account[path: "items.0.quarantined"] == 4)
            #expect(account[path: "items.0.refused"] == 1)
        }
    }

    @Test(
        "what is broken as a whole is a problem, and nothing of it is kept",
        arguments: [
            ("batch", "", 400, [:]),
            ("batch", #"{"batch":[{"type":"track","event":"a","userId":"u"},]}"#, 400, [:]),
            ("batch", "{}", 400, [:]), ("batch", "[]", 400, [:]), ("track", "{\"event\":", 400, [:]),
            ("track", "[5]", 400, [:]),
            ("batch", #"{"batch":[1,1,1,1]}"#, 400, [:]),
            ("batch", "{\"batch\":[\"" + String(repeating: "x", count: 5000) + "\"]}", 413, [:]),
            ("track", "{}", 415, ["Content-Type": "application/xml"]),
            ("track", "{}", 415, ["Content-Encoding": "br"]),
            ("track", "{}", 400, ["Content-Encoding": "gzip"]),
        ] as [(String, String, Int, [String: String])])
    func wholes(call: String, body: String, status: Int, headers: [String: String]) async throws {
        let settings = ["MARTLET_INGESTION_BATCH_ITEMS": "3", "MARTLET_INGESTION_BODY_BYTES": "4096"]
        try await Collecting.with(settings: settings) { collecting in
            let answer = try await collecting.service.request(
                "POST", "/v1/\(call)", body: Array(body.utf8), headers: headers,
                as: .basic(user: collecting.key))
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(try await collecting.stored().isEmpty)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("the same batch many times at once counts once")
    func repetition() async throws {
        try await Collecting.with { collecting in
            let batch: JSON = [
                "batch": .array(
                    (0..<50).map {
                        [
                            "type": "track", "event": "x", "userId": .string("u\($0 % 7)"),
                            "messageId": .string("m\($0)"),
                        ]
                    })
            ]
            let accepted = try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await collecting.send("batch", batch).json["accepted"]?.integer ?? -1
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(accepted == 50)
            #expect(try await collecting.stored().count == 50)
            // A day later as well, and for another source it is another message.
            collecting.clock.advance(by: .hours(25))
            #expect(try await collecting.send("batch", batch).json["duplicate"] == 50)
            let other = try await collecting.service.request("POST", "/v1/batch", json: batch)
            #expect(other.json["accepted"] == 50)
            #expect(try await collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("requests that arrive together are committed together, in gapless order for each sender")
    func grouping() async throws {
        try await Collecting.with { collecting in
            try await withThrowingTaskGroup { group in
                for sender in 0..<8 {
                    group.addTask {
                        for number in 0..<10 {
                            let answer = try await collecting.send(
                                "track",
                                [
                                    "event": .string("\(number)"), "userId": .string("u\(sender)"),
                                    "messageId": .string("\(sender)-\(number)"),
                                ])
                            #expect(answer.status == 200)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let stored = try await collecting.stored()
            #expect(stored.count == 80)
            for sender in 0..<8 {
                #expect(
                    stored.filter { $0.userID == "u\(sender)" }.compactMap(\.name)
                        == (0..<10).map(String.init))
            }
            let pool = collecting.database.pool(maxConnections: 1)
            let gaps = try await pool.query(
                """
                SELECT FROM ingestion.stream_events GROUP BY shard
                HAVING min("offset") <> 1 OR max("offset") <> count(*)
                """)
            #expect(gaps.isEmpty)
            await pool.close()
        }
    }

    @Test("services send as the installation's own source, and may name a profile")
    func services() async throws {
        try await Collecting.with { collecting in
            let profile = ProfileID(UUIDv7.derived(at: noon, from: "p"))
            let answer = try await collecting.service.request(
                "POST", "/v1/batch",
                json: [
                    "batch": [
                        [
                            "type": "track", "event": "Email Opened", "messageId": "delivery:1",
                            "profileId": .string(profile.description),
                        ]
                    ]
                ], as: .service(.delivery))
            #expect(answer.json["accepted"] == 1)
            let event = try #require(try await collecting.stored().first)
            #expect(event.profileID == profile)
            #expect(event.sourceID == SourceStore.installation)
            // Anybody else may not.
            let other = try await collecting.send(
                "track", ["event": "x", "profileId": .string(profile.description)])
            #expect(other.json["quarantined"] == 1)
        }
    }

    @Test(
        "of many batches at once, some of them twice, every event is stored once, sealed, with no gap between offsets"
    )
    func manyBatches() async throws {
        try await Collecting.with { collecting in
            // The key of the day is known from here on, so that what follows is sealed before its transaction.
            #expect(
                try await collecting.send("track", ["event": "x", "userId": "u", "messageId": "first"]).status
                    == 200)
            // 24 batches of 100, each of which shares half of its events with the one before: more than one writer's work.
            let answers = try await withThrowingTaskGroup(of: JSON.self) { group in
                for batch in 0..<24 {
                    let items = (0..<100).map { number -> JSON in
                        [
                            "type": "track", "event": "x", "userId": .string("u\(number % 7)"),
                            "messageId": .string("m\(batch * 50 + number)"),
                        ]
                    }
                    group.addTask { try await collecting.send("batch", ["batch": .array(items)]).json }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let distinct = 23 * 50 + 100
            #expect(answers.reduce(0) { $0 + ($1["accepted"]?.integer ?? 0) } == Int64(distinct))
            #expect(answers.reduce(0) { $0 + ($1["duplicate"]?.integer ?? 0) } == Int64(2_400 - distinct))
            let stored = try await collecting.stored()
            #expect(Set(stored.map(\.messageID)).count == distinct + 1)
            #expect(stored.count == distinct + 1)
            let pool = collecting.database.pool(maxConnections: 1)
            let rows = try await pool.query(
                """
                SELECT count(*) FILTER (WHERE body NOT LIKE '~d%') AS bare,
                       count(DISTINCT (shard, "offset")) - sum(top) AS gaps
                FROM (SELECT shard, "offset", body,
                             CASE WHEN "offset" = max("offset") OVER (PARTITION BY shard) THEN "offset" ELSE 0 END AS top
                      FROM ingestion.stream_events) AS r
                """)
            await pool.close()
            #expect(try rows.first?.get("bare", as: Int.self) == 0)
            #expect(try rows.first?.get("gaps", as: Int.self) == 0)
        }
    }

    @Test("when more waits than can be written, the rest is told to come again, and what waits is written")
    func overload() async throws {
        try await Collecting.with(settings: ["MARTLET_INGESTION_QUEUE_ITEMS": "3"]) { collecting in
            let pool = collecting.database.pool(maxConnections: 2)
            let statuses: [Int] = try await pool.transaction { transaction in
                try await transaction.execute("LOCK TABLE ingestion.message_key IN ACCESS EXCLUSIVE MODE")
                let tasks = (0..<12).map { number in
                    Task {
                        try await collecting.send(
                            "track", ["event": "x", "userId": "u", "messageId": .string("\(number)")])
                    }
                }
                // Up to three are being written, three wait; the others must be turned away while the table is locked.
                var turnedAway: [Int] = []
                try await withThrowingTaskGroup { group in
                    for task in tasks { group.addTask { try await task.value.status } }
                    for try await status in group {
                        turnedAway.append(status)
                        if turnedAway.count == 6 { try await transaction.execute("ROLLBACK") }
                    }
                }
                return turnedAway
            }
            #expect(statuses.prefix(6).allSatisfy { $0 == 503 })
            let taken = statuses.count { $0 == 200 }
            #expect(taken >= 4)
            #expect(taken + statuses.count { $0 == 503 } == 12)
            #expect(try await collecting.stored().count == taken)
            await pool.close()
        }
    }

    @Test("the database being away is a 503 with Retry-After, and the same again is taken once it is back")
    func away() async throws {
        try await Collecting.with { collecting in
            let event: JSON = ["event": "x", "userId": "u", "messageId": "1"]
            let pool = collecting.database.pool(maxConnections: 1)
            #expect(try await collecting.send("track", event).status == 200)
            let name = collecting.database.name
            try await pool.withConnection { connection in
                try await connection.execute(
                    "UPDATE pg_database SET datallowconn = false WHERE datname = \(name)")
                try await connection.execute(
                    """
                    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                    WHERE datname = \(name) AND pid <> pg_backend_pid()
                    """)
                let answer = try await collecting.send(
                    "track", ["event": "y", "userId": "u", "messageId": "2"])
                #expect(answer.status == 503, "\(answer.text)")
                #expect(answer.headers["retry-after"] != nil)
                try await connection.execute(
                    "UPDATE pg_database SET datallowconn = true WHERE datname = \(name)")
            }
            #expect(
                try await collecting.send("track", ["event": "y", "userId": "u", "messageId": "2"]).status
                    == 200)
            #expect(try await collecting.stored().count == 2)
            await pool.close()
        }
    }

    @Test("any page may send: preflight and answers carry the CORS headers")
    func crossOrigin() async throws {
        try await Collecting.with { collecting in
            let preflight = try await collecting.service.request("OPTIONS", "/v1/track", as: .none)
            #expect(preflight.status == 204)
            #expect(preflight.headers["access-control-allow-origin"] == "*")
            #expect(preflight.headers["access-control-allow-headers"]?.contains("content-type") == true)
            let refused = try await collecting.service.request("POST", "/v1/track", json: [:], as: .none)
            #expect(refused.status == 401)
            #expect(refused.headers["access-control-allow-origin"] == "*")
        }
    }
}
