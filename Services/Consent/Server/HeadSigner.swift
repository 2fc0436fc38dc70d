import ConsentDomain
import Crypto
import Foundation
import Models
import Postgres
import ServiceKit

/// Signs the ends of the chains by a key that no database holds (Ed25519, RFC 8032).
struct HeadSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    init(tokens: ServiceTokens) throws {
        key = try tokens.derivedKey(for: "ledger-heads")
            .withUnsafeBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: Data($0)) }
    }

    /// The heads with their signature, and the public key for whoever wants to check it.
    func sign(_ heads: LedgerHeads) throws -> JSON { try sign(document: heads.json) }

    /// The receipt with its signature.
    func sign(_ receipt: PrivacyReceipt) throws -> JSON { try sign(document: receipt.json) }

    /// A receipt says that it is one, and heads have no such member: neither can be taken for the other.
    private func sign(document: JSON) throws -> JSON {
        var members = document.object ?? [:]
        let signature = try key.signature(for: Data(document.compact.utf8))
        members["signature"] = .string(hexadecimal(Array(signature)))
        members["publicKey"] = .string(hexadecimal(Array(key.publicKey.rawRepresentation)))
        return .object(members)
    }

    /// The heads, if it was this installation that has signed them.
    func read(_ json: JSON, at path: String) throws(DecodingProblem) -> LedgerHeads? {
        let heads = try LedgerHeads(json: json, at: path)
        guard let signature = json["signature"]?.string.flatMap({ bytes(hexadecimal: $0) }),
            key.publicKey.isValidSignature(Data(signature), for: Data(heads.json.compact.utf8))
        else { return nil }
        return heads
    }

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
