/// The ends of all chains of a log at one instant: signed and kept elsewhere, they show that what was before them is still
/// what it was, whoever has all rights in the database.
package struct ChainHeads: Hashable, Sendable {
    package struct Head: Hashable, Sendable {
        package let position: Int64
        package let hash: [UInt8]

        package init(position: Int64, hash: [UInt8]) {
            self.position = position
            self.hash = hash
        }
    }

    /// Which log it is of; none is the consent ledger.
    package let log: String?
    package let at: Instant
    /// Of the shards with entries.
    package let heads: [Shard: Head]

    package init(log: String? = nil, at: Instant, heads: [Shard: Head]) {
        self.log = log
        self.at = at
        self.heads = heads
    }

    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        log = try fields.optionalString("log")
        at = try fields.instant("at")
        var heads: [Shard: Head] = [:]
        for element in try fields.array("heads") {
            guard let shard = element["shard"]?.integer.flatMap({ Shard(number: Int($0)) }),
                let position = element["position"]?.integer, position > 0,
                let hash = element["hash"]?.string.flatMap({ bytes(hexadecimal: $0) }), heads[shard] == nil
            else {
                throw fields.problem(
                    "heads", expected: "an array of objects with shard, position and hash, each shard once")
            }
            heads[shard] = Head(position: position, hash: hash)
        }
        self.heads = heads
    }

    /// The same heads are always the same bytes, which are what is signed.
    package var json: JSON {
        var members: [String: JSON] = [
            "at": .string(at.rfc3339),
            "heads": .array(
                heads.sorted { $0.key < $1.key }.map { shard, head in
                    [
                        "shard": .integer(Int64(shard.number)), "position": .integer(head.position),
                        "hash": .string(hexadecimal(head.hash)),
                    ]
                }),
        ]
        members["log"] = log.map { .string($0) }
        return .object(members)
    }
}
