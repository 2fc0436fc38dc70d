/// Makes JSON text storable that a database can't hold as it is.
package enum StorableText {
    private static let backslash = UInt8(ascii: "\\")

    /// Leaves `\u0000` out and replaces each half of a surrogate pair by `\uFFFD`; everything else stays as it is.
    package static func mend(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            guard text[index] == backslash, index + 1 < text.count else {
                result.append(text[index])
                index += 1
                continue
            }
            guard let unit = escape(text, at: index) else {
                // Another escape: both of its bytes, so that an escaped backslash hides what follows it.
                result.append(contentsOf: text[index..<(index + 2)])
                index += 2
                continue
            }
            let next = escape(text, at: index + 6)
            switch unit {
            case 0: index += 6
            case 0xD800..<0xDC00 where next.map { (0xDC00..<0xE000).contains($0) } ?? false:
                result.append(contentsOf: text[index..<(index + 12)])
                index += 12
            case 0xD800..<0xE000:
                result.append(contentsOf: #"\uFFFD"#.utf8)
                index += 6
            default:
                result.append(contentsOf: text[index..<(index + 6)])
                index += 6
            }
        }
        return result
    }

    /// The UTF-16 unit of a `\uXXXX` that begins at a place; nil where none does.
    private static func escape(_ text: [UInt8], at index: Int) -> UInt32? {
        guard index + 6 <= text.count, text[index] == backslash, text[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        return UInt32(String(decoding: text[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16)
    }
}
