import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Verifying the ledger", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct AuditTests {
    private func kinds(_ answer: ServiceHarness.Answer) -> Set<String> {
        Set(
            (answer.json["shards"]?.array ?? []).flatMap { shard in
                (shard["faults"]?.array ?? []).compactMap { $0["kind"]?.string }
            })
    }

    /// The kinds of faults of the chains; what stands may be wrong as well.
    private func faults(_ fixture: ConsentFixture, chainsAlone: Bool = false) async throws -> Set<String> {
        let answer = try await fixture.service.request("GET", "/v1/audit/verify")
        let kinds = kinds(answer)
        let isStateRight = answer.json[path: "state.faults"]?.array?.isEmpty ?? false
        #expect(answer.json["valid"]?.bool == (kinds.isEmpty && isStateRight))
        if !chainsAlone, kinds.isEmpty { #expect(isStateRight) }
        return kinds
    }

    @Test("the service itself may neither change nor remove what is in the ledger")
    func appendOnly() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.decide("grant", of: try await fixture.makeProfile())
            let own = fixture.service.context.pool
            for statement in [
                "UPDATE ledger_entry SET action = 'withdraw'", "DELETE FROM ledger_entry",
                "TRUNCATE ledger_entry",
                "UPDATE ledger_subject SET evidence = ''", "DELETE FROM ledger_erasure",
            ] {
                await #expect(throws: PostgresError.self, "\(statement)") {
                    try await own.execute(SQL(unsafe: statement))
                }
            }
        }
    }

    private func signedHeads(_ fixture: ConsentFixture) async throws -> JSON {
        try await fixture.service.request("GET", "/v1/audit/heads").json
    }

    private func verify(
        _ heads: [JSON], _ fixture: ConsentFixture, walking: Bool = true
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "POST", "/v1/audit/verify\(walking ? "" : "?walk=false")", json: ["heads": .array(heads)])
    }

    @Test("whoever makes the ledger anew with all its hashes is found by the ends that were signed before")
    func signed() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            for action in ["grant", "withdraw", "grant"] {
                try await fixture.decide(action, of: profile)
                fixture.clock.advance(by: .seconds(1))
            }
            let heads = try await signedHeads(fixture)
            #expect(try await verify([heads], fixture).json["valid"] == true)
            #expect(try await verify([heads], fixture, walking: false).json["valid"] == true)
            // The end goes, and the recorded end with it.
            try await fixture.owner.execute(
                """
                WITH gone AS (DELETE FROM consent.ledger_entry WHERE position = 3 RETURNING previous_hash, entry_id),
                    nobody AS (DELETE FROM consent.ledger_subject s USING gone WHERE s.entry_id = gone.entry_id)
                UPDATE consent.ledger_head h SET position = 2, hash = gone.previous_hash FROM gone WHERE h.position = 3
                """)
            #expect(try await faults(fixture, chainsAlone: true).isEmpty)
            #expect(try await kinds(verify([heads], fixture)) == ["truncated"])
            #expect(try await kinds(verify([heads], fixture, walking: false)) == ["truncated"])
            // Another history in its place.
            for table in ["ledger_entry", "ledger_subject", "ledger_head"] {
                try await fixture.owner.execute("DELETE FROM consent.\(unsafe: table)")
            }
            for _ in 1...4 {
                try await fixture.decide("grant", of: profile)
                fixture.clock.advance(by: .seconds(1))
            }
            #expect(try await faults(fixture).isEmpty)
            #expect(try await kinds(verify([heads], fixture)) == ["rewritten"])
            #expect(try await kinds(verify([heads], fixture, walking: false)) == ["rewritten"])
            // And the ends can't be made to say so.
            var forged = heads.object ?? [:]
            forged["heads"] = try await signedHeads(fixture)["heads"]
            for document in [JSON.object(forged), ["at": "then"], ["heads": []]] {
                #expect(try await verify([document], fixture).status == 400)
            }
        }
    }

    @Test("a standing decision that the ledger does not say is found, and one that is missing")
    func state() async throws {
        let tamperings = [
            "UPDATE profiles.consent_state SET state = 'granted'",
            "UPDATE profiles.consent_state SET at = at + interval '1 s'",
            "UPDATE profiles.consent_state SET purpose = 'analytics'",
            "UPDATE profiles.consent_state SET ledger_entry = gen_random_uuid()",
            "UPDATE profiles.consent_state s SET (ledger_entry, state, at) = "
                + "(SELECT entry_id, 'granted', occurred_at FROM consent.ledger_entry WHERE action = 'grant')",
            "DELETE FROM profiles.consent_state",
        ]
        for tampering in tamperings {
            try await ConsentFixture.with { fixture in
                let profile = try await fixture.makeProfile()
                try await fixture.decide("grant", of: profile)
                fixture.clock.advance(by: .seconds(1))
                try await fixture.decide("withdraw", of: profile)
                #expect(try await fixture.service.request("GET", "/v1/audit/verify").json["valid"] == true)
                try await fixture.owner.execute(SQL(unsafe: tampering))
                let report = try await fixture.service.request("GET", "/v1/audit/verify").json
                #expect(report["valid"] == false, "\(tampering)")
                let faults = report[path: "state.faults"]?.array ?? []
                #expect(faults.contains { $0["profileId"]?.string == profile.description })
            }
        }
    }

    @Test(
        "merges, their undoing and erasures leave nothing that looks like tampering, also before they are followed"
    )
    func honest() async throws {
        try await ConsentFixture.with { fixture in
            func expectValid(_ what: String) async throws {
                let report = try await fixture.service.request("GET", "/v1/audit/verify").json
                #expect(report["valid"] == true, "\(what): \(report.compact)")
            }
            let (ada, bob) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.decide("grant", of: ada)
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide("withdraw", of: bob)
            try await fixture.merge(bob, into: ada)
            try await expectValid("merged")
            try await fixture.drain()
            try await expectValid("the merge is folded")
            try await fixture.unmerge(bob, from: ada)
            try await expectValid("undone")
            try await fixture.drain()
            try await expectValid("the undoing is folded")
            let asked = try await fixture.service.request(
                "POST", "/v1/privacy-requests",
                json: ["type": "erasure", "subject": ["profileId": .string(bob.description)]])
            #expect(asked.status == 202)
            try await fixture.drain()
            try await expectValid("asked to be erased")
            try await fixture.owner.execute(
                "UPDATE profiles.profile SET erased_at = \(fixture.clock.now) WHERE profile_id = \(bob)")
            try await fixture.append([.erased(profileID: bob, at: fixture.clock.now)])
            try await fixture.drain()
            try await expectValid("erased")
        }
    }

    @Test("what a superuser edits, removes, cuts off or swaps is found")
    func tampering() async throws {
        let tamperings: [(String, Set<String>)] = [
            ("UPDATE consent.ledger_entry SET action = 'withdraw' WHERE position = 2", ["edited"]),
            (
                "UPDATE consent.ledger_entry SET occurred_at = occurred_at + interval '1 s' WHERE position = 1",
                ["edited"]
            ),
            ("DELETE FROM consent.ledger_entry WHERE position = 2", ["broken"]),
            ("DELETE FROM consent.ledger_entry WHERE position = 3", ["truncated"]),
            (
                "UPDATE consent.ledger_entry SET position = 7 WHERE position = 3",
                ["edited", "broken", "truncated"]
            ),
            ("UPDATE consent.ledger_subject SET evidence = '{}'", ["subject-altered"]),
            ("DELETE FROM consent.ledger_subject", ["detached"]),
        ]
        for (tampering, found) in tamperings {
            try await ConsentFixture.with { fixture in
                let profile = try await fixture.makeProfile()
                for _ in 0..<3 { try await fixture.decide("grant", of: profile) }
                #expect(try await faults(fixture).isEmpty)
                try await fixture.owner.execute(SQL(unsafe: tampering))
                #expect(try await faults(fixture) == found, "\(tampering)")
            }
        }
    }
}
