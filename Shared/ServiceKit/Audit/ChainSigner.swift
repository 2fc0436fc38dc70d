import Crypto
import Foundation
package import Models

/// Signs the ends of chains by a key that no database holds (Ed25519, RFC 8032).
package struct ChainSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    package init(tokens: ServiceTokens) throws {
        key = try tokens.derivedKey(for: "ledger-heads")
            .withUnsafeBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: Data($0)) }
    }

    /// The document with its signature, and the public key for whoever wants to check it. What is signed must say what it is,
    /// so that nothing can be taken for something else.
    package func sign(document: JSON) throws -> JSON {
        var members = document.object ?? [:]
        let signature = try key.signature(for: Data(document.compact.utf8))
        members["signature"] = .string(hexadecimal(Array(signature)))
        members["publicKey"] = .string(hexadecimal(Array(key.publicKey.rawRepresentation)))
        return .object(members)
    }

    /// The heads with their signature.
    package func sign(_ heads: ChainHeads) throws -> JSON { try sign(document: heads.json) }

    /// Whether it was this installation that has signed a document, as ``sign(document:)`` does.
    func isSigned(_ document: JSON) -> Bool {
        guard var members = document.object,
            let signature = members.removeValue(forKey: "signature")?.string.flatMap({
                bytes(hexadecimal: $0)
            })
        else { return false }
        members["publicKey"] = nil
        return key.publicKey.isValidSignature(
            Data(signature), for: Data(JSON.object(members).compact.utf8))
    }

    /// The heads, if it was this installation that has signed them.
    package func read(_ json: JSON, at path: String) throws(DecodingProblem) -> ChainHeads? {
        let heads = try ChainHeads(json: json, at: path)
        guard let signature = json["signature"]?.string.flatMap({ bytes(hexadecimal: $0) }),
            key.publicKey.isValidSignature(Data(signature), for: Data(heads.json.compact.utf8))
        else { return nil }
        return heads
    }
}

/// Ends of chains as they were signed, by shard and position.
package typealias SignedEnds = [Shard: [Int64: [UInt8]]]

extension ServiceRequest {
    /// Whether chains are to be gone along, or ends that were signed alone to be compared (`walk=false`).
    package func walksChains() throws(Problem) -> Bool {
        switch try query("walk") {
        case nil, "true": return true
        case "false": return false
        default: throw .badRequest("`walk` must be true or false")
        }
    }
}

extension ChainSigner {
    /// What was signed, as the caller kept it.
    private static let bodyLimit = 16 << 20
    private static let mostSigned = 1_000

    /// The heads that a caller sends (`{"heads": […]}`), each signed by this installation, by the log that they are of.
    package func signedEnds(in request: ServiceRequest) async throws -> [String?: SignedEnds] {
        let fields = try JSONFields(try await request.json(maxBytes: Self.bodyLimit))
        try fields.allow(["heads"])
        let documents = try fields.array("heads")
        guard documents.count <= Self.mostSigned else {
            throw fields.problem("heads", expected: "at most \(Self.mostSigned) documents")
        }
        var signed: [String?: SignedEnds] = [:]
        for (number, document) in documents.enumerated() {
            guard let heads = try read(document, at: "heads[\(number)]") else {
                throw fields.problem(
                    "heads", expected: "documents that this installation has signed; number \(number) is none"
                )
            }
            for (shard, head) in heads.heads {
                signed[heads.log, default: [:]][shard, default: [:]][head.position] = head.hash
            }
        }
        return signed
    }
}
