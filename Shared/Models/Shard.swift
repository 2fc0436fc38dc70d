/// One of the 64 logical parts that every large table and every stream is divided into.
package struct Shard: Hashable, Sendable {
    /// 0 to 63.
    package let number: Int16

    /// How many shards there are; fixed for ever, because stored rows carry their number.
    package static let count = 64

    /// All shards in ascending order.
    package static let all: [Shard] = (0..<Int16(count)).map { Shard(unchecked: $0) }

    /// The shard with this number; nil outside 0 to 63.
    package init?(number: some BinaryInteger) {
        guard number >= 0, number < Self.count else { return nil }
        self.number = Int16(number)
    }

    /// The shard of a profile, which is the shard of its id's text.
    package init(_ id: ProfileID) {
        number = Int16(StableHash.hash64("shard", textOf: id.uuid) % UInt64(Self.count))
    }

    /// The shard of any other key.
    package init(hashing key: String) {
        number = Int16(StableHash.hash64("shard", key) % UInt64(Self.count))
    }

    private init(unchecked number: Int16) { self.number = number }
}

extension Shard: Comparable {
    package static func < (left: Shard, right: Shard) -> Bool { left.number < right.number }
}

extension Shard: CustomStringConvertible {
    package var description: String { String(number) }
}

extension Shard: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let shard = Shard(number: try container.decode(Int16.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "expected a shard, 0 to 63")
        }
        self = shard
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(number)
    }
}
