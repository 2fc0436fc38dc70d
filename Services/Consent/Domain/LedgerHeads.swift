package import Models

/// The ends of all chains at one instant: signed and kept elsewhere, they show that what was before them is still what it
/// was, whoever has all rights in the database.
package struct LedgerHeads: Hashable, Sendable {
    package struct Head: Hashable, Sendable {
        package let position: Int64
        package let hash: [UInt8]

        package init(position: Int64, hash: [UInt8]) {
            self.position = position
            self.hash = hash
        }
    }

    package let at: Instant
    /// Of the shards with entries.
    package let heads: [Shard: Head]

    package init(at: Instant, heads: [Shard: Head]) {
        self.at = at
        self.heads = heads
    }

    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
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
        [
            "at": .string(at.rfc3339),
            "heads": .array(
                heads.sorted { $0.key < $1.key }.map { shard, head in
                    [
                        "shard": .integer(Int64(shard.number)), "position": .integer(head.position),
                        "hash": .string(hexadecimal(head.hash)),
                    ]
                }),
        ]
    }
}

/// The bytes of hexadecimal text; nil for any other text.
package func bytes(hexadecimal text: String) -> [UInt8]? {
    let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    for place in stride(from: 0, to: digits.count, by: 2) {
        guard let high = digits[place], let low = digits[place + 1] else { return nil }
        bytes.append(UInt8(high << 4 | low))
    }
    return bytes
}
