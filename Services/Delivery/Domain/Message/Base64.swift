/// Base64, RFC 4648, sections 4 and 5.
package enum Base64 {
    private static let letters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let safeLetters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        encode(bytes, letters, padded: true)
    }

    /// With the letters that need no escaping in a URL.
    package static func encodeForURL(_ bytes: [UInt8], padded: Bool = false) -> String {
        encode(bytes, safeLetters, padded: padded)
    }

    private static func encode(_ bytes: [UInt8], _ letters: [UInt8], padded: Bool) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            bits <<= UInt32(8 * (3 - group.count))
            for index in 0...3 {
                if index <= group.count {
                    result.append(letters[Int(bits >> UInt32(18 - 6 * index) & 63)])
                } else if padded {
                    result.append(UInt8(ascii: "="))
                }
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Decodes either alphabet, padded or not; nil for anything else.
    package static func decode(_ text: String) -> [UInt8]? {
        var bytes = Array(text.utf8)
        if bytes.count % 4 == 0 {
            for _ in 0..<2 where bytes.last == UInt8(ascii: "=") { bytes.removeLast() }
        }
        guard bytes.count % 4 != 1 else { return nil }
        var result: [UInt8] = []
        var (bits, count) = (UInt32(0), UInt32(0))
        for byte in bytes {
            guard let value = value(byte) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        // Bits that are left over must be zero, or two texts would stand for the same bytes.
        return bits & ((1 << count) - 1) == 0 ? result : nil
    }

    private static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 65...90: byte - 65
        case 97...122: byte - 71
        case 48...57: byte + 4
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
