import ConsentDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// `/v1/audit`: goes through the ledger's chains and says what does not hold, and signs their ends.
struct AuditRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let vault: Vault
    let signer: HeadSigner
    private static let pageSize = 2_000

    func add(to router: ServiceRouter) {
        router.get("/v1/audit/verify", scope: .consentRead, touches: .pseudonyms) {
            try await verify($0, signed: [:])
        }
        router.post("/v1/audit/verify", scope: .consentRead, touches: .pseudonyms) { request in
            let walks = try request.walksChains()
            let signed = try await signer.signedEnds(in: request)[nil] ?? [:]
            return walks ? try await verify(request, signed: signed) : try await compare(signed)
        }
        router.get("/v1/audit/heads", scope: .consentRead, touches: .definitions) { _ in
            .json(try signer.sign(try await HeadSigner.current(at: try await clock.now(), in: pool)))
        }
    }

    private func verify(_ request: ServiceRequest, signed: SignedEnds) async throws -> ServiceResponse {
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
            guard let (verifier, head) = try await verify(shard, signed[shard] ?? [:]) else { continue }
            entries += verifier.entries
            isValid = isValid && verifier.faults.isEmpty
            shards.append(Self.report(shard, entries: verifier.entries, head: head, faults: verifier.faults))
        }
        let asked = wanted
        let (checked, faults) = try await pool.transaction(isolation: .repeatableRead) {
            try await StateAuditStore.check(asked, in: $0)
        }
        return .json([
            "valid": .bool(isValid && faults.isEmpty), "entries": .integer(entries),
            "verifiedAt": .string(now.rfc3339), "shards": .array(shards),
            "state": ["decisions": .integer(Int64(checked)), "faults": .array(faults.map(\.json))],
        ])
    }

    private static func report(
        _ shard: Shard, entries: Int64, head: [UInt8], faults: [ChainFault]
    ) -> JSON {
        [
            "shard": .integer(Int64(shard.number)), "entries": .integer(entries),
            "head": .string(hexadecimal(head)),
            "faults": .array(
                faults.map { ["kind": .string($0.kind.rawValue), "position": .integer($0.position)] }),
        ]
    }

    /// Compares ends that were signed with what stands there, and goes along no chain.
    private func compare(_ signed: SignedEnds) async throws -> ServiceResponse {
        let now = try await clock.now()
        var (shards, isValid): ([JSON], Bool) = ([], true)
        for (shard, ends) in signed.sorted(by: { $0.key < $1.key }) {
            let (head, hashes) = try await pool.transaction(isolation: .repeatableRead) {
                (
                    try await AuditStore.head(of: shard, in: $0),
                    try await AuditStore.hashes(of: shard, at: Array(ends.keys), in: $0)
                )
            }
            let faults = SignedEndCheck.faults(of: ends, standing: hashes, end: head?.position ?? 0)
            isValid = isValid && faults.isEmpty
            let genesis = LedgerChain.genesis(of: shard, digest: LedgerStore.sha256)
            shards.append(Self.report(shard, entries: 0, head: head?.hash ?? genesis, faults: faults))
        }
        return .json([
            "valid": .bool(isValid), "entries": 0, "verifiedAt": .string(now.rfc3339),
            "shards": .array(shards),
            "state": ["decisions": 0, "faults": []],
        ])
    }

    /// One shard, in one snapshot, so that appends going on do not look like tampering; nil when it is empty.
    private func verify(
        _ shard: Shard, _ signed: [Int64: [UInt8]]
    ) async throws -> (ChainVerifier, head: [UInt8])? {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            let head = try await AuditStore.head(of: shard, in: transaction)
            var verifier = ChainVerifier(shard: shard, signed: signed, digest: LedgerStore.sha256)
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
            if head == nil, verifier.entries == 0, signed.isEmpty { return nil }
            return (verifier, head?.hash ?? genesis)
        }
    }
}
