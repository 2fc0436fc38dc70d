import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("The audit log", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct AuditTrailTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private struct Probe {
        let service: ServiceHarness
        let clock: SimulatedClock
        let owner: PostgresPool
        /// A key with every scope but admin.
        let key: ServiceHarness.Credential
        let actor: String

        func log(_ query: String = "") async throws -> [JSON] {
            let answer = try await service.request("GET", "/v1/audit-log\(query)", as: .service(.delivery))
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json["items"]?.array ?? []
        }

        func verify(_ heads: [JSON] = []) async throws -> ServiceHarness.Answer {
            try await service.request(
                "POST", "/v1/audit-log/verify", json: ["heads": .array(heads)], as: .service(.delivery))
        }

        func heads() async throws -> JSON {
            try await service.request("GET", "/v1/audit-log/heads", as: .service(.delivery)).json
        }

        /// The kinds of what does not hold.
        func faults(_ heads: [JSON] = []) async throws -> Set<String> {
            let report = try await verify(heads).json
            let kinds = Set(
                (report["shards"]?.array ?? []).flatMap { shard in
                    (shard["faults"]?.array ?? []).compactMap { $0["kind"]?.string }
                })
            #expect(report["valid"]?.bool == kinds.isEmpty)
            return kinds
        }
    }

    private func withProbe(_ body: (Probe) async throws -> Void) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        let (key, text) = try await APIKeyStore(pool: owner).create(
            name: "probe", scopes: Set(Scope.allCases.filter { $0 != .admin }), now: start)
        try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: clock, workers: false
        ) { service in
            try await body(
                Probe(
                    service: service, clock: clock, owner: owner, key: .bearer(text), actor: "key \(key.id)"))
        }
        await owner.close()
    }

    private let ada = "01890000-0000-7000-8000-000000000001"

    @Test("who reads what of whom is recorded with the reason, before the answer leaves")
    func read() async throws {
        try await withProbe { probe in
            let answer = try await probe.service.request(
                "GET", "/v1/people/\(ada)", headers: ["X-Martlet-Reason": "ticket 47"], as: probe.key)
            #expect(answer.status == 200)
            let entry = try #require(try await probe.log().first)
            #expect(entry["actor"]?.string == probe.actor)
            #expect(entry["action"]?.string == "read")
            #expect(entry["route"]?.string == "GET /v1/people/{id}")
            #expect(entry["subjects"]?.array == [.string(ada)])
            #expect(entry["target"]?.string == ada)
            #expect(entry["reason"]?.string == "ticket 47")
            #expect(entry["outcome"]?.string == "done")
            #expect(entry["status"]?.integer == 200)
            #expect(entry["at"]?.string == start.rfc3339)
        }
    }

    @Test("whoever is refused or finds nothing is recorded, and a reason that names somebody is refused")
    func refused() async throws {
        try await withProbe { probe in
            let (_, narrow) = try await APIKeyStore(pool: probe.owner).create(
                name: "narrow", scopes: [.catalogRead], now: start)
            #expect(
                try await probe.service.request("GET", "/v1/people/\(ada)", as: .bearer(narrow)).status == 403
            )
            #expect(
                try await probe.service.request("GET", "/v1/people/nobody@x.example", as: probe.key).status
                    == 404)
            #expect(try await probe.service.request("GET", "/v1/people/\(ada)", as: .none).status == 401)
            let entries = try await probe.log()
            #expect(Set(entries.map { $0["status"]?.integer }) == [404, 403])
            #expect(entries.allSatisfy { $0["outcome"]?.string == "refused" })
            #expect(!entries.contains { $0.compact.contains("nobody") })
            for reason in [
                "for ada@example.com", "call +49 30 123456789", String(repeating: "x", count: 201),
            ] {
                let answer = try await probe.service.request(
                    "GET", "/v1/people/\(ada)", headers: ["X-Martlet-Reason": reason], as: probe.key)
                #expect(answer.status == 400, "\(reason)")
            }
        }
    }

    @Test("nothing of anybody is shown while it can't be recorded")
    func unrecorded() async throws {
        try await withProbe { probe in
            try await probe.owner.execute("ALTER TABLE identity.audit_entry RENAME TO away")
            let answer = try await probe.service.request("GET", "/v1/people/\(ada)", as: probe.key)
            #expect(answer.status == 500)
            #expect(!answer.text.contains(ada))
        }
    }

    @Test(
        "a change and its entry commit together, however the handler commits",
        arguments: ["transaction", "statement", "connection"])
    func change(how: String) async throws {
        try await withProbe { probe in
            func put(_ value: Int64, _ name: String = "first") async throws -> Int {
                try await probe.service.request(
                    "PUT", "/v1/things/\(name)?how=\(how)", json: ["value": .integer(value)], as: probe.key
                ).status
            }
            func value() async throws -> Int64? {
                try await probe.owner.query("SELECT value FROM identity.thing WHERE id = 'first'").first?
                    .get("value")
            }
            #expect(try await put(1) == 200)
            let entry = try #require(try await probe.log().first)
            #expect(entry["action"]?.string == "change")
            #expect(entry["target"]?.string == "first")
            #expect(entry["outcome"]?.string == "done")
            // It was not known yet what would be answered.
            #expect(entry["status"] == .null)
            // What is taken back takes its entry along; that it was tried is recorded by itself.
            if how == "transaction" {
                #expect(try await put(-1) == 409)
                #expect(try await probe.log().first?["outcome"]?.string == "refused")
                #expect(try await value() == 1)
            }
            // Where it can't be recorded nothing is changed.
            try await probe.owner.execute("ALTER TABLE identity.audit_entry RENAME TO away")
            #expect(try await put(2) == 500)
            #expect(try await value() == 1)
            try await probe.owner.execute("ALTER TABLE identity.away RENAME TO audit_entry")
            // What changes nothing is recorded as that.
            #expect(try await put(0) == 200)
            #expect(try await probe.log().first?["outcome"]?.string == "unchanged")
            #expect(try await probe.faults().isEmpty)
        }
    }

    @Test("readers who come at once share commits, and each has an entry")
    func sharing() async throws {
        try await withProbe { probe in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        let answer = try await probe.service.request(
                            "GET", "/v1/people/\(ada)", as: probe.key)
                        #expect(answer.status == 200)
                    }
                }
                try await group.waitForAll()
            }
            let row = try #require(
                try await probe.owner.query(
                    "SELECT count(*) AS entries, count(DISTINCT xmin::text) AS commits FROM identity.audit_entry"
                ).first)
            #expect(try row.get("entries", as: Int64.self) == 200)
            #expect(try row.get("commits", as: Int64.self) < 150)
            #expect(try await probe.faults().isEmpty)
        }
    }

    @Test("the log is read page by page and by who, whom and when, and reading it is itself recorded")
    func listing() async throws {
        try await withProbe { probe in
            for number in 1...5 {
                _ = try await probe.service.request(
                    "GET", "/v1/people/01890000-0000-7000-8000-00000000000\(number)", as: probe.key)
                probe.clock.advance(by: .seconds(60))
            }
            var (cursor, times): (String, [String]) = ("", [])
            repeat {
                let page = try await probe.service.request(
                    "GET", "/v1/audit-log?limit=2\(cursor)", as: .service(.delivery)
                ).json
                times += (page["items"]?.array ?? []).compactMap { $0["at"]?.string }
                cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty
            #expect(times == times.sorted(by: >) && times.count == 5)
            #expect(try await probe.log("?subject=\(ada)").count == 1)
            let actor = probe.actor.replacing(" ", with: "%20")
            #expect(try await probe.log("?actor=\(actor)").count == 5)
            #expect(try await probe.log("?actor=nobody").isEmpty)
            let from = (start + .seconds(90)).rfc3339
            #expect(try await probe.log("?from=\(from)&to=\((start + .seconds(150)).rfc3339)").count == 1)
            #expect(try await probe.log("?action=change").isEmpty)
            #expect(
                try await probe.service.request("GET", "/v1/audit-log?subject=\(ada)", as: probe.key).status
                    == 200)
            let entry = try #require(try await probe.log().first)
            #expect(entry["route"]?.string == "GET /v1/audit-log")
            #expect(entry["subjects"]?.array == [.string(ada)])
        }
    }

    @Test("keys that are made, rotated and ended are in a log of their own")
    func keys() async throws {
        try await withProbe { probe in
            let keys = APIKeyStore(pool: probe.owner)
            let (key, _) = try await keys.create(name: "crm", scopes: [.profilesRead], now: start)
            _ = try await keys.rotate(key.id, overlap: .seconds(60), now: start)
            #expect(try await keys.revoke(key.id, now: start))
            #expect(try await !keys.revoke(key.id, now: start))
            let entries = try await AuditStore(.keys).page(
                .init(), before: nil, limit: 10, in: probe.owner)
            #expect(
                entries.map(\.entry.route)
                    == [
                        "martlet keys revoke", "martlet keys rotate", "martlet keys create",
                        "martlet keys create",
                    ])
            #expect(entries.prefix(3).allSatisfy { $0.entry.target == key.id.description })
        }
    }

    @Test("the service itself may neither change nor remove what is in the log")
    func appendOnly() async throws {
        try await withProbe { probe in
            for statement in [
                "UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry",
            ] {
                await #expect(throws: PostgresError.self, "\(statement)") {
                    try await probe.service.context.pool.execute(SQL(unsafe: statement))
                }
            }
        }
    }

    @Test("what a superuser edits, removes, cuts off or swaps is found")
    func tampering() async throws {
        let tamperings: [(String, Set<String>)] = [
            ("UPDATE identity.audit_entry SET actor = 'key x' WHERE position = 2", ["edited"]),
            ("UPDATE identity.audit_entry SET subjects = '{}' WHERE position = 1", ["edited"]),
            ("UPDATE identity.audit_entry SET reason = 'none' WHERE position = 1", ["edited"]),
            ("UPDATE identity.audit_entry SET at = at + interval '1 s' WHERE position = 1", ["edited"]),
            ("DELETE FROM identity.audit_entry WHERE position = 2", ["broken"]),
            ("DELETE FROM identity.audit_entry WHERE position = 3", ["truncated"]),
            ("DELETE FROM identity.audit_head", ["truncated"]),
            (
                "UPDATE identity.audit_entry SET position = 7 WHERE position = 3",
                ["edited", "broken", "truncated"]
            ),
            (
                "UPDATE identity.audit_entry SET position = CASE position WHEN 1 THEN 12 ELSE 11 END WHERE position < 3",
                ["edited", "broken", "truncated"]
            ),
        ]
        for (tampering, found) in tamperings {
            try await withProbe { probe in
                for _ in 0..<3 {
                    _ = try await probe.service.request("GET", "/v1/people/\(ada)", as: probe.key)
                }
                #expect(try await probe.faults().isEmpty)
                try await probe.owner.execute(SQL(unsafe: tampering))
                #expect(try await probe.faults() == found, "\(tampering)")
            }
        }
    }

    @Test("whoever makes the log anew with all its hashes is found by the ends that were signed before")
    func signed() async throws {
        try await withProbe { probe in
            func read(_ count: Int) async throws {
                for _ in 0..<count {
                    _ = try await probe.service.request("GET", "/v1/people/\(ada)", as: probe.key)
                    probe.clock.advance(by: .seconds(1))
                }
            }
            try await read(3)
            let heads = try await probe.heads()
            #expect(try await probe.faults([heads]).isEmpty)
            // The end goes, and the recorded end with it.
            try await probe.owner.execute(
                """
                WITH gone AS (DELETE FROM identity.audit_entry WHERE position = 3 RETURNING previous_hash)
                UPDATE identity.audit_head h SET position = 2, hash = gone.previous_hash FROM gone WHERE h.position = 3
                """)
            #expect(try await probe.faults().isEmpty)
            #expect(try await probe.faults([heads]) == ["truncated"])
            // Another history in its place.
            for table in ["audit_entry", "audit_head"] {
                try await probe.owner.execute("DELETE FROM identity.\(unsafe: table)")
            }
            try await read(4)
            #expect(try await probe.faults().isEmpty)
            #expect(try await probe.faults([heads]) == ["rewritten"])
            // Neither altered ends nor those of another log are believed.
            var forged = heads.object ?? [:]
            forged["heads"] = try await probe.heads()["heads"]
            #expect(try await probe.verify([.object(forged)]).status == 400)
            forged = heads.object ?? [:]
            forged["log"] = "delivery"
            #expect(try await probe.verify([.object(forged)]).status == 400)
        }
    }
}
