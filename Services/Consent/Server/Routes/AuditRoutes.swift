import ConsentDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// `/v1/audit/verify`: goes through the ledger's chains and says what does not hold.
struct AuditRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let vault: Vault
    private static let pageSize = 2_000

    func add(to router: ServiceRouter) {
        router.get("/v1/audit/verify", scope: .consentRead) { try await verify($0) }
    }

    private func verify(_ request: ServiceRequest) async throws -> ServiceResponse {
        var wanted = Shard.all
        if try request.query("shard") != nil {
            let number = try request.query("shard", in: 0...(Shard.count - 1), default: 0)
            wanted = wanted.filter { Int($0.number) == number }
        }
        let now = try await clock.now()
        var shards: [JSON] = []
        var entries: Int64 = 0
        var isValid = true
        for shard in wanted {
            guard let (verifier, head) = try await verify(shard) else { continue }
            entries += verifier.entries
            isValid = isValid && verifier.faults.isEmpty
            shards.append([
                "shard": .integer(Int64(shard.number)), "entries": .integer(verifier.entries),
                "head": .string(hexadecimal(head)),
                "faults": .array(
                    verifier.faults.map {
                        ["kind": .string($0.kind.rawValue), "position": .integer($0.position)]
                    }),
            ])
        }
        return .json([
            "valid": .bool(isValid), "entries": .integer(entries), "verifiedAt": .string(now.rfc3339),
            "shards": .array(shards),
        ])
    }

    /// One shard, in one snapshot, so that appends going on do not look like tampering; nil when it is empty.
    private func verify(_ shard: Shard) async throws -> (ChainVerifier, head: [UInt8])? {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            let head = try await AuditStore.head(of: shard, in: transaction)
            var verifier = ChainVerifier(shard: shard, digest: LedgerStore.sha256)
            var position: Int64 = 0
            while true {
                let page = try await AuditStore.entries(
                    of: shard, after: position, limit: Self.pageSize, vault: vault, in: transaction)
                for (sealed, standing) in page { verifier.take(sealed, standing) }
                guard let last = page.last else { break }
                position = last.sealed.position
            }
            let genesis = LedgerChain.genesis(of: shard, digest: LedgerStore.sha256)
            verifier.finish(position: head?.position ?? 0, head: head?.hash ?? genesis)
            if head == nil, verifier.entries == 0 { return nil }
            return (verifier, head?.hash ?? genesis)
        }
    }
}
