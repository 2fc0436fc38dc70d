import ConsentDomain
import Models
import Postgres
import ServiceKit

/// Signs the ends of the ledger's chains, and receipts. A receipt says that it is one, and heads have no such member:
/// neither can be taken for the other.
typealias HeadSigner = ChainSigner

extension ChainSigner {
    /// The receipt with its signature.
    func sign(_ receipt: PrivacyReceipt) throws -> JSON { try sign(document: receipt.json) }

    /// The ends of all chains now.
    static func current(at now: Instant, in session: some PostgresSession) async throws -> LedgerHeads {
        let rows = try await session.query("SELECT shard, position, hash FROM ledger_head WHERE position > 0")
        var heads: [Shard: LedgerHeads.Head] = [:]
        for row in rows {
            heads[try row.get("shard")] = .init(
                position: try row.get("position"), hash: try row.get("hash"))
        }
        return LedgerHeads(at: now, heads: heads)
    }
}
