import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@Suite("Verifying the ledger", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct AuditTests {
    private func faults(_ fixture: ConsentFixture) async throws -> Set<String> {
        let answer = try await fixture.service.request("GET", "/v1/audit/verify")
        let kinds = (answer.json["shards"]?.array ?? []).flatMap { shard in
            (shard["faults"]?.array ?? []).compactMap { $0["kind"]?.string }
        }
        #expect(answer.json["valid"]?.bool == kinds.isEmpty)
        return Set(kinds)
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
