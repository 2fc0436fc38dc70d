import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Sources and the account",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ManagementTests {
    @Test("sources are listed page by page, with their keys' hints and never the keys")
    func list() async throws {
        try await Collecting.with { collecting in
            for name in ["app", "shop"] {
                #expect(
                    try await collecting.service.request("POST", "/v1/sources", json: ["name": .string(name)])
                        .status == 201)
            }
            var names: [String] = []
            var path = "/v1/sources?limit=2"
            while true {
                let page = try await collecting.service.request("GET", path)
                #expect(page.status == 200)
                #expect(!page.text.contains(collecting.key))
                names += (page.json["items"]?.array ?? []).compactMap { $0["name"]?.string }
                guard let cursor = page.json["nextCursor"]?.string else { break }
                path = "/v1/sources?limit=2&cursor=\(cursor)"
            }
            #expect(names.sorted() == ["app", "martlet", "shop", "web"])
        }
    }

    @Test(
        "mistakes are problems",
        arguments: [
            ("POST", "/v1/sources", "{}", 400), ("POST", "/v1/sources", #"{"name":""}"#, 400),
            ("POST", "/v1/sources", #"{"name":5}"#, 400), ("POST", "/v1/sources", #"{"name":"x",}"#, 400),
            ("GET", "/v1/sources?limit=0", nil, 400), ("GET", "/v1/sources?cursor=x", nil, 400),
            ("GET", "/v1/sources/x", nil, 400),
            ("GET", "/v1/sources/018bcfe5-6800-732e-8bd2-68de555c384f", nil, 404),
            ("POST", "/v1/sources/018bcfe5-6800-732e-8bd2-68de555c384f/write-keys", nil, 404),
            (
                "DELETE",
                "/v1/sources/018bcfe5-6800-732e-8bd2-68de555c384f/write-keys/018bcfe5-6800-732e-8bd2-68de555c384f",
                nil, 404
            ),
            ("GET", "/v1/reconciliation?from=yesterday", nil, 400),
            ("GET", "/v1/reconciliation?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", nil, 400),
            ("GET", "/v1/reconciliation?source=018bcfe5-6800-732e-8bd2-68de555c384f", nil, 404),
            ("PUT", "/v1/sources", nil, 405), ("GET", "/v1/track", nil, 405),
        ] as [(String, String, String?, Int)])
    func mistakes(method: String, path: String, body: String?, status: Int) async throws {
        try await Collecting.with { collecting in
            let answer = try await collecting.service.request(method, path, body: body.map { Array($0.utf8) })
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.headers["content-type"] == "application/problem+json")
        }
    }

    @Test("the account is kept by source and hour")
    func account() async throws {
        try await Collecting.with { collecting in
            let event: JSON = ["event": "x", "userId": "u", "messageId": "1"]
            _ = try await collecting.send("track", event)
            collecting.clock.advance(by: .hours(2))
            _ = try await collecting.send("track", event)
            _ = try await collecting.send("track", ["event": "x"])
            let all = try await collecting.reconciliation()
            #expect(all[path: "items.0.received"] == 3)
            #expect(all[path: "items.0.stored"] == 1)
            let later = try await collecting.service.request(
                "GET", "/v1/reconciliation?from=2026-11-21T14:00:00Z")
            #expect(later.json[path: "items.0.duplicate"] == 1)
            #expect(later.json[path: "items.0.quarantined"] == 1)
            #expect(later.json[path: "items.0.accepted"] == 0)
            #expect(later.json["balanced"] == true)
        }
    }

    @Test("a scope is needed, and a write key is none")
    func scopes() async throws {
        try await Collecting.with { collecting in
            for credential in [.none, .basic(user: collecting.key)] as [ServiceHarness.Credential] {
                for path in ["/v1/sources", "/v1/reconciliation", "/v1/streams/events"] {
                    let answer = try await collecting.service.request("GET", path, as: credential)
                    #expect(answer.status == 401)
                }
            }
        }
    }

    @Test("the OpenAPI file names every route of the service, and no other")
    func contract() async throws {
        try await Collecting.with { collecting in
            let served = Set(collecting.service.routes.map { "\($0.method.rawValue) \($0.path)" })
            let contract = try await collecting.service.request("GET", "/openapi.yaml", as: .none)
            var written: Set<String> = []
            var path = ""
            for line in contract.text.split(separator: "\n").drop(while: { $0 != "paths:" }).dropFirst() {
                if !line.hasPrefix(" ") { break }
                if line.hasPrefix("  /"), line.hasSuffix(":") { path = String(line.dropFirst(2).dropLast()) }
                for method in ["get", "put", "post", "delete", "options"] where line == "    \(method):" {
                    written.insert("\(method.uppercased()) \(path)")
                }
            }
            #expect(written == served)
        }
    }
}

@Suite(
    "Privacy at ingestion",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct IngestionPrivacyTests {
    private static let profiles = Migration(
        version: 1, name: "profiles",
        sql: """
            CREATE SCHEMA IF NOT EXISTS profiles;
            CREATE TABLE profiles.profile (shard smallint, profile_id uuid, erased_at timestamptz,
                is_separated boolean NOT NULL DEFAULT false);
            CREATE TABLE profiles.identifier (type text, value text, profile_id uuid,
                value_hash bytea NOT NULL DEFAULT '\\x00', shared_count integer NOT NULL DEFAULT 0);
            CREATE TABLE profiles.timeline (profile_id uuid, source_id uuid, message_id text);
            CREATE TABLE profiles.trait (shard smallint, profile_id uuid, name text, value jsonb);
            GRANT USAGE ON SCHEMA profiles TO martlet_readers;
            GRANT SELECT ON ALL TABLES IN SCHEMA profiles TO martlet_readers;
            """)

    private func with(_ body: (Collecting, PostgresPool, PrivacyRequest, ProfileID) async throws -> Void)
        async throws
    {
        try await Collecting.with { collecting in
            let owner = collecting.database.pool(maxConnections: 2)
            _ = try await Migrator(schema: "test", migrations: [Self.profiles]).migrate(owner)
            let person = ProfileID(UUIDv7.derived(at: noon, from: "p"))
            try await owner.execute("INSERT INTO profiles.profile VALUES (\(Shard(person)), \(person), NULL)")
            try await owner.execute(
                "INSERT INTO profiles.identifier VALUES ('anonymousId', 'device-one', \(person)), ('userId', 'user-one', \(person))"
            )
            for (index, event) in [
                ["event": "x", "anonymousId": "device-one"], ["event": "x", "userId": "user-one"],
                ["event": "x", "anonymousId": "device-one", "userId": "user-one"],
                ["event": "x", "anonymousId": "device-two"],
            ].enumerated() as EnumeratedSequence<[[String: JSON]]> {
                let answer = try await collecting.send(
                    "track", .object(event.merging(["messageId": .string("m\(index)")]) { $1 }))
                #expect(answer.status == 200)
            }
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.derived(at: noon, from: "r")), type: .erasure, profileID: person,
                profileIDs: [person], requestedAt: noon)
            try await body(collecting, owner, request, person)
            await owner.close()
        }
    }

    private func handler(_ collecting: Collecting) -> PrivacyHandler {
        IngestionPrivacy(
            store: RawEventStore(profiles: collecting.profiles), clock: collecting.clock.serviceClock
        ).handler
    }

    /// What identity tells when it has erased the person.
    private func tell(_ told: JSON, of request: PrivacyRequest, _ collecting: Collecting) async throws {
        let answer = try await collecting.service.request(
            "PUT", "/v1/erasures/\(request.id)", json: told, as: .service(.identity))
        #expect(answer.status == 204, "\(answer.text)")
    }

    @Test("access gives the raw events of the person, and of nobody else")
    func access() async throws {
        try await with { collecting, _, request, _ in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            let held = try await pool.transaction { try await handler(collecting).everything(request, $0) }
            #expect(held["quarantine"] == [])
            #expect(held["rawEvents"]?.array?.count == 3)
            #expect(!held.compact.contains("device-two"))
            await pool.close()
        }
    }

    @Test("access gives all of the raw events, page by page, and what of the person lies in quarantine")
    func accessOfMuch() async throws {
        try await with { collecting, _, request, _ in
            for batch in 0..<3 {
                let items = (0..<400).map { index -> JSON in
                    [
                        "type": "track", "event": "x", "userId": "user-one",
                        "messageId": .string("much-\(batch)-\(index)"),
                    ]
                }
                #expect(try await collecting.send("batch", ["batch": .array(items)]).status == 200)
            }
            for user in ["user-one", "user-two"] {
                _ = try await collecting.send(
                    "track",
                    [
                        "event": "x", "userId": .string(user), "messageId": .string("bad-\(user)"),
                        "timestamp": "the day before yesterday",
                    ])
            }
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            let held = try await pool.transaction { try await handler(collecting).everything(request, $0) }
            let messages = held["rawEvents"]?.array?.compactMap { $0["messageId"]?.string } ?? []
            #expect(messages.count == 1_203 && Set(messages).count == 1_203)
            let quarantined = held["quarantine"]?.array ?? []
            #expect(quarantined.count == 1)
            #expect(quarantined.first?[path: "item.messageId"] == "bad-user-one")
            await pool.close()
        }
    }

    @Test("of a device that others use, access gives what the person did on it, and erasure takes just that")
    func sharedDevice() async throws {
        try await with { collecting, owner, request, person in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            try await owner.execute(
                "UPDATE profiles.identifier SET shared_count = 1 WHERE value = 'device-one'")
            // Of the three events under their names, the last is somebody else's on the same device.
            let source = collecting.sourceID
            for message in ["m0", "m1"] {
                try await owner.execute(
                    "INSERT INTO profiles.timeline VALUES (\(person), \(source), \(message))")
            }
            let held = try await pool.transaction { try await handler(collecting).everything(request, $0) }
            #expect(
                held["rawEvents"]?.array?.compactMap { $0["messageId"]?.string }.sorted() == ["m0", "m1"])
            let name = TrackingEvent.messageName(source, "m3")
            try await tell(
                [
                    "subjects": ["device-one", "user-one"], "sharedSubjects": ["device-one"],
                    // And one of theirs on the device of a third.
                    "messages": [
                        "device-one": [.string(TrackingEvent.messageName(source, "m0"))],
                        "device-two": [.string(name)],
                    ],
                ], of: request, collecting)
            try await owner.execute("DELETE FROM profiles.identifier")
            try await owner.execute("DELETE FROM profiles.timeline")
            let result = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(result["rawEvents"] == 3)
            let left = try await owner.query("SELECT key FROM ingestion.stream_events WHERE key <> 'erased'")
            #expect(
                try left.map { try $0.get("key", as: String.self) } == [
                    collecting.profiles.key.mark(of: "device-one")
                ])
            let kept = try await owner.query("SELECT details FROM ingestion.erasure_subject")
            #expect(try kept.map { try $0.get("details", as: String?.self) } == [nil])
            for wrong: JSON in [["unresolved": ["64": [1]]], ["messages": ["a": 1]], ["sharedSubjects": [1]]]
            {
                var told = wrong.object ?? [:]
                told["subjects"] = []
                let answer = try await collecting.service.request(
                    "PUT", "/v1/erasures/\(request.id)", json: .object(told), as: .service(.identity))
                #expect(answer.status == 400)
            }
            await pool.close()
        }
    }

    @Test("asked once more, as identity had failed, it waits for what identity tells anew, and goes by that")
    func eraseAgain() async throws {
        try await with { collecting, owner, request, _ in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            try await tell(["subjects": []], of: request, collecting)
            let first = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(first["rawEvents"] == 3)
            let late: JSON = ["event": "x", "userId": "user-one", "messageId": "late"]
            #expect(try await collecting.send("track", late).status == 200)
            var again = request
            again.services = [.identity, .ingestion]
            let asked = again
            await #expect(throws: RetryLater.self) {
                try await pool.transaction { try await handler(collecting).erase(asked, $0) }
            }
            try await tell(["subjects": ["device-one", "user-one"]], of: request, collecting)
            try await owner.execute("DELETE FROM profiles.identifier")
            let second = try await pool.transaction { try await handler(collecting).erase(asked, $0) }
            #expect(second["rawEvents"] == 1)
            await pool.close()
        }
    }

    @Test("events that came late of somebody who was erased are forgotten where identity says that they are")
    func lateEvents() async throws {
        try await with { collecting, owner, _, _ in
            let row = try #require(
                try await owner.query(
                    "SELECT shard, \"offset\" FROM ingestion.stream_events ORDER BY shard, \"offset\" LIMIT 1"
                ).first)
            let (shard, offset): (Int, Int64) = (try row.get("shard"), try row.get("offset"))
            let told: JSON = ["events": ["\(shard)": [.integer(offset)]]]
            let path = "/v1/erasures/late-events"
            #expect(try await collecting.service.request("POST", path, json: told, as: .none).status == 401)
            for _ in 1...2 {
                let answer = try await collecting.service.request(
                    "POST", path, json: told, as: .service(.identity))
                #expect(answer.status == 204, "\(answer.text)")
            }
            let wrong: JSON = ["events": ["64": [1]]]
            #expect(
                try await collecting.service.request("POST", path, json: wrong, as: .service(.identity))
                    .status
                    == 400)
            let erased = try await owner.query(
                "SELECT shard, \"offset\" FROM ingestion.stream_events WHERE key = 'erased'")
            #expect(try erased.map { try $0.get("offset", as: Int64.self) } == [offset])
        }
    }

    @Test("erasure leaves tombstones and gapless offsets, and the erased cannot be sent in again")
    func erasure() async throws {
        try await with { collecting, owner, request, _ in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            try await tell(["subjects": ["device-one", "user-one"]], of: request, collecting)
            let result = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(result["rawEvents"] == 3)
            let bodies = try await owner.query("SELECT body, key FROM ingestion.stream_events")
            #expect(bodies.count == 4)
            let erased = try bodies.filter { try $0.get("key", as: String.self) == "erased" }
            #expect(erased.count == 3)
            for row in erased { #expect(try row.get("body", as: JSON.self)["kind"] == "erased") }
            let again = try await collecting.send(
                "track", ["event": "x", "anonymousId": "device-one", "messageId": "m0"])
            #expect(again.json["duplicate"] == 1)
            #expect(try await collecting.reconciliation()["balanced"] == true)
            await pool.close()
        }
    }

    @Test(
        "a person's address and telephone number are erased as well where they lie in quarantine, and no others"
    )
    func quarantine() async throws {
        try await with { collecting, owner, request, person in
            try await owner.execute(
                "INSERT INTO profiles.identifier VALUES ('email', 'ada@example.com', \(person))")
            try await owner.execute(
                """
                INSERT INTO profiles.trait VALUES
                    (\(Shard(person)), \(person), 'phone', '"+49 30 1234567"'::jsonb)
                """)
            for (index, traits) in [
                ["email": "Ada@Example.com"], ["phone": "0049 30 / 1234567"], ["email": "bob@example.com"],
            ].enumerated() as EnumeratedSequence<[[String: JSON]]> {
                // Nobody is named by it, so it can't be accepted.
                let answer = try await collecting.send(
                    "identify", ["messageId": .string("q\(index)"), "traits": .object(traits)])
                #expect(answer.json["quarantined"] == 1)
            }
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            // Identity could not erase them, so ingestion goes by what it finds itself.
            try await tell(["subjects": []], of: request, collecting)
            let result = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(result["rawEvents"] == 3)
            await pool.close()
            let kept = try await owner.query(
                "SELECT message_id FROM ingestion.quarantine WHERE item IS NOT NULL")
            #expect(try kept.map { try $0.get("message_id", as: String.self) } == ["q2"])
        }
    }

    @Test(
        "what came after the point that identity names is of somebody new, unless it names the profile itself"
    )
    func cut() async throws {
        try await with { collecting, owner, request, person in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            let key = collecting.profiles.key
            let rows = try await owner.query(
                #"SELECT shard, max("offset") AS head FROM ingestion.stream_events GROUP BY shard"#)
            let heads = try rows.map {
                ("\(try $0.get("shard", as: Int.self))", JSON.integer(try $0.get("head", as: Int64.self)))
            }
            for call: JSON in [
                ["event": "x", "anonymousId": "device-one", "messageId": "m4"],
                ["event": "x", "userId": "new", "messageId": "m5"],
            ] { #expect(try await collecting.send("track", call).status == 200) }
            // A mail of before that is told of late.
            let late = try await collecting.service.request(
                "POST", "/v1/batch",
                json: [
                    "batch": [
                        [
                            "type": "track", "event": "Email Opened", "messageId": "m6",
                            "profileId": .string(person.description),
                        ]
                    ]
                ], as: .service(.delivery))
            #expect(late.status == 200, "\(late.text)")
            try await tell(
                [
                    "subjects": ["device-one", "user-one", "new", .string(person.description)],
                    "profileIds": [.string(person.description)],
                    "upTo": .object(Dictionary(uniqueKeysWithValues: heads)),
                ], of: request, collecting)
            let result = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(result["rawEvents"] == 4)
            let left = try await owner.query("SELECT key FROM ingestion.stream_events WHERE key <> 'erased'")
            #expect(
                try Set(left.map { try $0.get("key", as: String.self) })
                    == Set(["device-one", "device-two", "new"].map { key.mark(of: $0) }))
            for upTo: JSON in [["64": 1], ["0": "1"], []] {
                let answer = try await collecting.service.request(
                    "PUT", "/v1/erasures/\(request.id)", json: ["subjects": [], "upTo": upTo],
                    as: .service(.identity))
                #expect(answer.status == 400)
            }
            await pool.close()
        }
    }

    @Test("the names that identity tells are waited for and used, and then forgotten")
    func handOver() async throws {
        try await with { collecting, owner, request, person in
            let pool = collecting.database.pool(as: .ingestion, maxConnections: 1)
            try await owner.execute("DELETE FROM profiles.identifier")
            await #expect(throws: RetryLater.self) {
                try await pool.transaction { try await handler(collecting).erase(request, $0) }
            }
            let path = "/v1/erasures/\(request.id)"
            let told: JSON = ["subjects": ["device-one", "user-one"]]
            #expect(
                try await collecting.service.request(
                    "PUT", path, json: told, as: .basic(user: collecting.key)
                ).status == 401)
            #expect(
                try await collecting.service.request("PUT", path, json: told, as: .service(.identity)).status
                    == 204)
            let result = try await pool.transaction { try await handler(collecting).erase(request, $0) }
            #expect(result["rawEvents"] == 3)
            let kept = try await owner.query("SELECT subjects FROM ingestion.erasure_subject")
            #expect(try kept.map { try $0.get("subjects", as: [String].self) } == [[]])
            await pool.close()
        }
    }
}
