import Models

/// Where what is left of a chain begins: the last entry of those that were let go of, as the service has signed it. Without the
/// signature, whoever has all rights in the database could let go of more and say that it was this.
struct AuditAnchor: Sendable {
    let position: Int64
    let hash: [UInt8]
    /// What was signed, with the signature.
    let document: String

    /// What is to be signed. Heads have no such member, so that no end of a chain can be taken for its beginning.
    static func document(of link: AuditLink, in log: AuditLog, before boundary: Instant, at now: Instant)
        -> JSON
    {
        [
            "anchor": [
                "log": .string(log.name), "shard": .integer(Int64(link.shard.number)),
                "position": .integer(link.position), "hash": .string(hexadecimal(link.hash)),
            ],
            "before": .string(boundary.rfc3339), "at": .string(now.rfc3339),
        ]
    }

    /// Whether this installation has let go of everything up to here.
    func isSigned(by signer: ChainSigner, for shard: Shard, of log: AuditLog) -> Bool {
        guard let signed = try? JSONParser.parse(document), signer.isSigned(signed),
            let anchor = signed["anchor"]
        else { return false }
        return anchor["log"]?.string == log.name && anchor["shard"]?.integer == Int64(shard.number)
            && anchor["position"]?.integer == position && anchor["hash"]?.string == hexadecimal(hash)
    }
}
