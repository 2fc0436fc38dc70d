import FoundationEssentials
package import Models

/// What a link in a mail says: whose message it was, and what following the link means. It is signed by
/// whoever sends it, so nobody else can make one.
package enum TrackingClaim: Hashable, Sendable {
    case open(Shard, MessageID)
    /// `key` names a link stored with the message, never an address: there is no open redirect.
    case click(Shard, MessageID, key: LinkKey)
    case unsubscribe(Shard, MessageID)

    package var message: (shard: Shard, id: MessageID) {
        switch self {
        case .open(let shard, let id), .click(let shard, let id, _), .unsubscribe(let shard, let id):
            (shard, id)
        }
    }

    /// Kind, shard, message and key: 18 bytes, or 26 for a click.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        switch self {
        case .open: result.append(UInt8(ascii: "o"))
        case .click: result.append(UInt8(ascii: "c"))
        case .unsubscribe: result.append(UInt8(ascii: "u"))
        }
        result.append(UInt8(truncatingIfNeeded: message.shard.number))
        withUnsafeBytes(of: message.id.uuid.uuid) { result += $0 }
        if case .click(_, _, let key) = self {
            withUnsafeBytes(of: key.hash.bigEndian) { result += $0 }
        }
        return result
    }

    /// Reads what `bytes` wrote.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 18 || bytes.count == 26, let shard = Shard(number: Int(bytes[1])) else {
            return nil
        }
        let digits = bytes[2..<18].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { range in
            String(digits.dropFirst(range.lowerBound).prefix(range.count))
        }
        guard let id = MessageID(groups.joined(separator: "-")) else { return nil }
        switch (bytes[0], bytes.count) {
        case (UInt8(ascii: "o"), 18): self = .open(shard, id)
        case (UInt8(ascii: "u"), 18): self = .unsubscribe(shard, id)
        case (UInt8(ascii: "c"), 26):
            self = .click(shard, id, key: LinkKey(hash: bytes[18...].reduce(0) { $0 << 8 | UInt64($1) }))
        default: return nil
        }
    }
}

/// Names a link within a message: the hash of its address, so that rendering again gives the same key.
package struct LinkKey: Hashable, Sendable, CustomStringConvertible {
    package var hash: UInt64

    package init(hash: UInt64) { self.hash = hash }

    package init(_ url: String) { hash = StableHash.hash64("link", url) }

    /// 16 hexadecimal digits.
    package var description: String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
