/// Reads the words and signs inside an output or a tag.
struct LiquidScanner {
    enum Lexeme: Hashable {
        case name(String)
        case text(String)
        case integer(Int64)
        case double(Double)
        case sign(String)
        case end

        var shown: String {
            switch self {
            case .name(let name): "“\(name)”"
            case .text(let text): "the text “\(text)”"
            case .integer(let number): "\(number)"
            case .double(let number): "\(number)"
            case .sign(let sign): "“\(sign)”"
            case .end: "the end"
            }
        }
    }

    let source: LiquidSource
    private(set) var lexeme: Lexeme = .end
    /// Where `lexeme` begins.
    private(set) var offset: Int
    /// Where the lexeme before it ended.
    private(set) var previousEnd: Int
    private var next: Int
    private let end: Int

    init(_ source: LiquidSource, _ range: Range<Int>) throws(LiquidError) {
        self.source = source
        (offset, next, previousEnd) = (range.lowerBound, range.lowerBound, range.lowerBound)
        end = range.upperBound
        try advance()
    }

    func unexpected(_ expected: String) -> LiquidError {
        source.error(at: offset, "\(lexeme.shown) can't stand here", expected: expected)
    }

    mutating func skip(_ sign: String) throws(LiquidError) -> Bool {
        guard lexeme == .sign(sign) else { return false }
        try advance()
        return true
    }

    mutating func expect(_ sign: String) throws(LiquidError) {
        guard try skip(sign) else { throw unexpected("“\(sign)”") }
    }

    mutating func skipName(_ name: String) throws(LiquidError) -> Bool {
        guard lexeme == .name(name) else { return false }
        try advance()
        return true
    }

    func expectEnd() throws(LiquidError) {
        guard lexeme == .end else { throw unexpected("the end of the tag") }
    }

    mutating func advance() throws(LiquidError) {
        previousEnd = next
        while next < end, source.bytes[next].isLiquidSpace { next += 1 }
        offset = next
        guard next < end else {
            lexeme = .end
            return
        }
        let byte = source.bytes[next]
        if byte.isLiquidNameStart {
            lexeme = .name(name())
        } else if byte.isLiquidDigit
            || (byte == UInt8(ascii: "-") && next + 1 < end && source.bytes[next + 1].isLiquidDigit)
        {
            lexeme = try number()
        } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
            guard let close = source.bytes[(next + 1)..<end].firstIndex(of: byte) else {
                throw source.error(
                    at: next, "this text is never closed", expected: byte == UInt8(ascii: "'") ? "'" : "\"")
            }
            lexeme = .text(source.text((next + 1)..<close))
            next = close + 1
        } else {
            lexeme = .sign(try sign())
        }
    }

    private mutating func name() -> String {
        let start = next
        while next < end, source.bytes[next].isLiquidNamePart { next += 1 }
        if next < end, source.bytes[next] == UInt8(ascii: "?") { next += 1 }
        return source.text(start..<next)
    }

    private mutating func number() throws(LiquidError) -> Lexeme {
        let start = next
        next += 1
        while next < end, source.bytes[next].isLiquidDigit { next += 1 }
        let isFraction =
            next + 1 < end && source.bytes[next] == UInt8(ascii: ".") && source.bytes[next + 1].isLiquidDigit
        if isFraction {
            next += 1
            while next < end, source.bytes[next].isLiquidDigit { next += 1 }
        }
        let text = source.text(start..<next)
        if !isFraction, let integer = Int64(text) { return .integer(integer) }
        if isFraction, let double = Double(text) { return .double(double) }
        throw source.error(
            at: start, "the number \(text) is too large", expected: "a number of at most 18 digits")
    }

    private mutating func sign() throws(LiquidError) -> String {
        if next + 1 < end {
            let pair = source.text(next..<(next + 2))
            if ["==", "!=", "<>", "<=", ">=", ".."].contains(pair) {
                next += 2
                return pair
            }
        }
        let sign = source.text(next..<(next + 1))
        guard "|:,.[]()<>=".contains(sign) else {
            throw source.error(
                at: next, "“\(sign)” has no meaning here", expected: "a value, a filter or the end")
        }
        next += 1
        return sign
    }
}
