/// The text of a template and where its lines begin.
struct LiquidSource: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ text: String) {
        bytes = Array(text.utf8)
    }

    func text(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    func error(at offset: Int, _ message: String, expected: String) -> LiquidError {
        let before = bytes[..<min(offset, bytes.count)]
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let column = String(decoding: before[lineStart...], as: UTF8.self).count + 1
        return LiquidError(line: line, column: column, message: message, expected: expected)
    }

    func error(at offset: Int, _ problem: LiquidProblem) -> LiquidError {
        error(at: offset, problem.message, expected: problem.expected)
    }

    /// The offset of `needle` at or after `start`.
    func find(_ needle: StaticString, from start: Int) -> Int? {
        let length = needle.utf8CodeUnitCount
        guard bytes.count >= length, start <= bytes.count - length else { return nil }
        return needle.withUTF8Buffer { wanted in
            var index = start
            while index <= bytes.count - length {
                if bytes[index] == wanted[0], bytes[index..<index + length].elementsEqual(wanted) {
                    return index
                }
                index += 1
            }
            return nil
        }
    }
}

extension UInt8 {
    var isLiquidSpace: Bool { self == 32 || (9...13).contains(self) }
    var isLiquidDigit: Bool { (48...57).contains(self) }
    /// The first character of a name; anything beyond ASCII may begin one too.
    var isLiquidNameStart: Bool {
        (65...90).contains(self) || (97...122).contains(self) || self == 95 || self >= 0x80
    }
    var isLiquidNamePart: Bool { isLiquidNameStart || isLiquidDigit || self == 45 }
}
