/// Quoted-printable, RFC 2045, 6.7: lines of at most 76 characters ending in CRLF.
enum QuotedPrintable {
    static func encode(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count * 11 / 10)
        var column = 0
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == 13 || byte == 10 {
                if byte == 13, index < bytes.count, bytes[index] == 10 { index += 1 }
                result += [13, 10]
                column = 0
                continue
            }
            let isAtLineEnd = index == bytes.count || bytes[index] == 13 || bytes[index] == 10
            let isPlain =
                ((33...126).contains(byte) && byte != UInt8(ascii: "="))
                || ((byte == 32 || byte == 9) && !isAtLineEnd)
            let width = isPlain ? 1 : 3
            // One place is kept for the “=” of a soft line break.
            if column + width > 75 {
                result += [UInt8(ascii: "="), 13, 10]
                column = 0
            }
            if isPlain {
                result.append(byte)
            } else {
                result += [UInt8(ascii: "="), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
            column += width
        }
        return result
    }

    private static let hex = Array("0123456789ABCDEF".utf8)
}
