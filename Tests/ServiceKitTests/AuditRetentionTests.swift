import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Retention of the audit log", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct AuditRetentionTests {
    private static let start = Instant(milliseconds: 1_600_000_000_000)
    private static let ada = "01890000-0000-7000-8000-000000000001"

    private struct Probe {
        let service: ServiceHarness
        let clock: SimulatedClock
        let owner: PostgresPool
        let key: ServiceHarness.Credential

        func read(_ count: Int) async throws {
            for _ in 0..<count {
                let answer = try await service.request(
                    "GET", "/v1/people/\(AuditRetentionTests.ada)", as: key)
                #expect(answer.status == 200)
            }
        }

        func heads() async throws -> JSON {
            try await service.request("GET", "/v1/audit-log/heads", as: .service(.delivery)).json
        }

        func report(_ heads: [JSON] = [], walking: Bool = true) async throws -> JSON {
            let answer = try await service.request(
                "POST", "/v1/audit-log/verify\(walking ? "" : "?walk=false")", json: ["heads": .array(heads)],
                as: .service(.delivery))
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json
        }

        /// The kinds of what does not hold.
        func faults(_ heads: [JSON] = []) async throws -> Set<String> {
            let report = try await report(heads)
            let kinds = Set(
                (report["shards"]?.array ?? []).flatMap { shard in
                    (shard["faults"]?.array ?? []).compactMap { $0["kind"]?.string }
                })
            #expect(report["valid"]?.bool == kinds.isEmpty)
            return kinds
        }

        func positions() async throws -> [Int64] {
            try await owner.query("SELECT position FROM identity.audit_entry ORDER BY position").map {
                try $0.get("position")
            }
        }
    }

    /// With five entries of each of the days 0, 200 and 370, and a policy that keeps them for 366 days.
    private func withProbe(_ body: (Probe, [JSON]) async throws -> Void) async throws {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        let clock = SimulatedClock(Self.start)
        let owner = database.pool()
        let (_, text) = try await APIKeyStore(pool: owner).create(
            name: "probe", scopes: [.profilesRead], now: Self.start)
        try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: clock, workers: false
        ) { service in
            let probe = Probe(service: service, clock: clock, owner: owner, key: .bearer(text))
            try await service.keep(["keep": ["audit": "366d"]], in: database)
            var heads: [JSON] = []
            for (count, pause) in [(3, 0), (2, 200), (2, 0), (3, 170), (5, 0)] {
                try await probe.read(count)
                heads.append(try await probe.heads())
                clock.advance(by: .days(pause))
            }
            try await body(probe, heads)
        }
        await owner.close()
    }

    @Test(
        "what is kept no longer goes from the beginning of a chain, and what is left is still proved, also by ends that were signed before"
    )
    func sweeps() async throws {
        try await withProbe { probe, heads in
            #expect(try await probe.service.retention(limit: 2).sweep() == 5)
            #expect(try await probe.positions() == Array(6...15))
            #expect(try await probe.faults().isEmpty)
            #expect(try await probe.faults(heads).isEmpty)
            let shard = try #require(try await probe.report()["shards"]?.array?.first)
            #expect(shard["anchor"] == 5 && shard["entries"] == 10)
            #expect(try await probe.service.letGo() == ["audit": 5])
            #expect(try await probe.service.retention().sweep() == 0)
            // A log that is idle loses all of it, and goes on where it was.
            probe.clock.advance(by: .days(700))
            #expect(try await probe.service.retention(limit: 4).sweep() == 10)
            #expect(try await probe.positions().isEmpty)
            #expect(try await probe.faults(heads).isEmpty)
            try await probe.read(2)
            #expect(try await probe.positions() == [16, 17])
            #expect(try await probe.faults(heads).isEmpty)
            let items = try await probe.service.request("GET", "/v1/audit-log", as: .service(.delivery))
            #expect(items.json["items"]?.array?.count == 2)
        }
    }

    @Test(
        "what a superuser edits, removes, cuts off or swaps behind the anchor is found, and so is another anchor"
    )
    func tampering() async throws {
        let anchor = "UPDATE identity.audit_anchor SET"
        let tamperings: [(String, Set<String>)] = [
            ("UPDATE identity.audit_entry SET actor = 'key x' WHERE position = 7", ["edited"]),
            ("DELETE FROM identity.audit_entry WHERE position = 7", ["broken"]),
            ("DELETE FROM identity.audit_entry WHERE position = 6", ["broken"]),
            ("DELETE FROM identity.audit_entry WHERE position < 12", ["broken"]),
            ("DELETE FROM identity.audit_entry WHERE position = 15", ["truncated"]),
            ("DELETE FROM identity.audit_entry", ["truncated"]),
            ("DELETE FROM identity.audit_entry; DELETE FROM identity.audit_head", ["truncated"]),
            (
                """
                UPDATE identity.audit_entry SET position = 121 - position WHERE position IN (10, 11);
                UPDATE identity.audit_entry SET position = position - 100 WHERE position > 100
                """,
                ["edited", "broken"]
            ),
            (
                """
                INSERT INTO identity.audit_entry SELECT shard, 3, at, actor, action, route, subjects, target, reason, outcome,
                    status, previous_hash, hash FROM identity.audit_entry WHERE position = 6
                """, ["edited", "broken"]
            ),
            ("DELETE FROM identity.audit_anchor", ["broken"]),
            ("\(anchor) document = '{}'", ["anchor-altered"]),
            ("\(anchor) document = replace(document, '\"before\"', '\"since\"')", ["anchor-altered"]),
            ("\(anchor) position = 4", ["anchor-altered", "broken"]),
            ("\(anchor) hash = sha256(hash)", ["anchor-altered", "broken"]),
            // As much more is let go of, as if retention had.
            (
                """
                \(anchor) position = 9, hash = e.hash FROM identity.audit_entry e WHERE e.position = 9;
                DELETE FROM identity.audit_entry WHERE position <= 9
                """, ["anchor-altered"]
            ),
            (
                """
                \(anchor) position = 9, hash = e.hash, document = replace(replace(document, '"position":5', '"position":9'),
                    encode(identity.audit_anchor.hash, 'hex'), encode(e.hash, 'hex'))
                FROM identity.audit_entry e WHERE e.position = 9;
                DELETE FROM identity.audit_entry WHERE position <= 9
                """, ["anchor-altered"]
            ),
        ]
        for (tampering, found) in tamperings {
            try await withProbe { probe, _ in
                #expect(try await probe.service.retention().sweep() == 5)
                #expect(try await probe.faults().isEmpty)
                for statement in tampering.split(separator: ";") {
                    try await probe.owner.execute(SQL(unsafe: String(statement)))
                }
                #expect(try await probe.faults() == found, "\(tampering)")
            }
        }
    }

    @Test(
        "a signed end of the chain is taken for no anchor, and ends that were signed find an anchor's hash that is another"
    )
    func signed() async throws {
        try await withProbe { probe, heads in
            #expect(try await probe.service.retention().sweep() == 5)
            // Genuine, and of position 7: anybody who may read the log gets it.
            let head = try #require(heads[2]["heads"]?.array?.first)
            #expect(head["position"] == 7)
            try await probe.owner.execute(
                """
                UPDATE identity.audit_anchor SET position = 7, document = \(heads[2].compact),
                    hash = (SELECT hash FROM identity.audit_entry WHERE position = 7)
                """)
            try await probe.owner.execute("DELETE FROM identity.audit_entry WHERE position <= 7")
            #expect(try await probe.faults() == ["anchor-altered"])
            // Nothing more goes of a chain that does not hold.
            probe.clock.advance(by: .days(700))
            #expect(try await probe.service.retention().sweep() == 0)
            #expect(try await probe.positions() == Array(8...15))
        }
        try await withProbe { probe, heads in
            #expect(try await probe.service.retention().sweep() == 5)
            try await probe.owner.execute("UPDATE identity.audit_anchor SET hash = sha256(hash)")
            #expect(try await probe.faults([heads[1]]).contains("rewritten"))
        }
    }

    @Test(
        "ends that were signed are compared without going along the chain, and find the same of what they are of"
    )
    func comparing() async throws {
        let tamperings: [(String, Set<String>)] = [
            ("SELECT 1", []),
            ("UPDATE identity.audit_entry SET hash = sha256(hash) WHERE position = 7", ["rewritten"]),
            ("DELETE FROM identity.audit_entry WHERE position = 7", ["broken"]),
            (
                """
                DELETE FROM identity.audit_entry WHERE position > 7;
                UPDATE identity.audit_head h SET position = 7, hash = e.hash FROM identity.audit_entry e WHERE e.position = 7
                """, ["truncated"]
            ),
            ("UPDATE identity.audit_anchor SET hash = sha256(hash)", ["rewritten"]),
        ]
        for (tampering, found) in tamperings {
            try await withProbe { probe, heads in
                #expect(try await probe.service.retention().sweep() == 5)
                for statement in tampering.split(separator: ";") {
                    try await probe.owner.execute(SQL(unsafe: String(statement)))
                }
                let report = try await probe.report(heads, walking: false)
                let kinds = Set(
                    (report["shards"]?.array ?? []).flatMap { shard in
                        (shard["faults"]?.array ?? []).compactMap { $0["kind"]?.string }
                    })
                #expect(kinds == found, "\(tampering)")
                #expect(report["valid"]?.bool == found.isEmpty && report["entries"] == 0)
                #expect(try await probe.faults(heads).isSuperset(of: found))
            }
        }
        try await withProbe { probe, _ in
            let answer = try await probe.service.request(
                "POST", "/v1/audit-log/verify?walk=perhaps", json: ["heads": []], as: .service(.delivery))
            #expect(answer.status == 400)
        }
    }

    @Test("a chain that was tampered with is not let go of, and keeps no other from it")
    func evidence() async throws {
        try await withProbe { probe, _ in
            var others: [ServiceHarness.Credential] = []
            for number in 0..<4 {
                let (_, text) = try await APIKeyStore(pool: probe.owner).create(
                    name: "other \(number)", scopes: [.profilesRead], now: probe.clock.now)
                others.append(.bearer(text))
            }
            for key in others {
                _ = try await probe.service.request("GET", "/v1/people/\(Self.ada)", as: key)
            }
            try await probe.owner.execute("UPDATE identity.audit_entry SET route = 'x' WHERE position = 2")
            probe.clock.advance(by: .days(700))
            let edited = try await probe.owner.query(
                "SELECT count(*) AS n FROM identity.audit_entry WHERE shard = (SELECT shard FROM identity.audit_entry WHERE route = 'x')"
            ).first?.get("n", as: Int64.self)
            let all = try await probe.positions().count
            let gone = try await probe.service.retention().sweep()
            #expect(gone == all - Int(edited ?? 0) && gone > 0)
            #expect(try await probe.faults().contains("edited"))
        }
    }

    @Test("the service itself may let go of nothing that is younger than a year, and may write no anchor")
    func rights() async throws {
        try await withProbe { probe, _ in
            let pool = probe.service.context.pool
            for statement in [
                "INSERT INTO audit_anchor (shard, position, hash, document) VALUES (1, 1, '', '')",
                "UPDATE audit_anchor SET position = 1", "DELETE FROM audit_anchor", "DELETE FROM audit_entry",
                "SELECT audit_let_go(e.shard, e.position, sha256(e.hash), '') FROM audit_entry e WHERE e.position = 2",
            ] {
                await #expect(throws: PostgresError.self, "\(statement)") {
                    _ = try await pool.query(SQL(unsafe: statement))
                }
            }
            try await probe.owner.execute("UPDATE identity.audit_entry SET at = now() - interval '364 days'")
            await #expect(throws: PostgresError.self) {
                _ = try await pool.query(
                    "SELECT audit_let_go(e.shard, e.position, e.hash, '') FROM audit_entry e WHERE e.position = 2"
                )
            }
            #expect(try await probe.positions().count == 15)
        }
    }

    @Test(
        "a consumer that waits at the end of a stream writes no entry, and writes one when it is shown something"
    )
    func idle() async throws {
        try await withProbe { probe, _ in
            let (_, text) = try await APIKeyStore(pool: probe.owner).create(
                name: "reader", scopes: [.streamsRead], now: probe.clock.now)
            let before = try await probe.positions().count
            func poll(_ path: String) async throws -> Int {
                let answer = try await probe.service.request("GET", path, as: .bearer(text))
                #expect(answer.status == 200, "\(answer.text)")
                return answer.body.count
            }
            for path in ["/v1/streams/profile-events", "/v1/streams/profile-events/3?after=0"] {
                for _ in 0..<5 { #expect(try await poll(path) == 0) }
            }
            #expect(try await probe.positions().count == before)
            try await probe.owner.execute(
                """
                INSERT INTO profiles.timeline (shard, "offset", key, recorded_at, body, profile_id)
                VALUES (3, 1, \(Self.ada), now(), \("{\"profileId\":\"\(Self.ada)\"}"), \(Self.ada)::uuid)
                """)
            try await probe.owner.execute(
                "INSERT INTO identity.stream_head (shard, stream, next_offset) VALUES (3, 'profile-events', 2)"
            )
            #expect(try await poll("/v1/streams/profile-events") > 0)
            #expect(try await probe.positions().count == before + 1)
            let entry = try await probe.owner.query(
                "SELECT subjects FROM identity.audit_entry WHERE route = 'GET /v1/streams/{stream}'"
            ).first
            #expect(try entry?.get("subjects", as: [ProfileID].self) == [try #require(ProfileID(Self.ada))])
            // Who is refused is recorded, stream or not.
            #expect(
                try await probe.service.request("GET", "/v1/streams/profile-events", as: probe.key).status
                    == 403)
            #expect(try await probe.positions().count == before + 2)
        }
    }
}
