/// Cuts a template into text, outputs and tags; whitespace control, `raw`, `comment`, `doc` and `liquid` end here.
struct LiquidLexer {
    private let source: LiquidSource
    private var tokens: [LiquidToken] = []
    private var position = 0
    /// The piece before this one ended with a hyphen: whitespace at the start of the next text goes.
    private var trimsNext = false

    static func tokens(of source: LiquidSource) throws(LiquidError) -> [LiquidToken] {
        var lexer = LiquidLexer(source: source)
        try lexer.run()
        return lexer.tokens
    }

    private init(source: LiquidSource) {
        self.source = source
    }

    private mutating func run() throws(LiquidError) {
        let bytes = source.bytes
        var textStart = 0
        while position < bytes.count {
            let isOpening =
                bytes[position] == UInt8(ascii: "{") && position + 1 < bytes.count
                && (bytes[position + 1] == UInt8(ascii: "{") || bytes[position + 1] == UInt8(ascii: "%"))
            guard isOpening else {
                position += 1
                continue
            }
            let trimsBefore = position + 2 < bytes.count && bytes[position + 2] == UInt8(ascii: "-")
            addText(textStart..<position, trimEnd: trimsBefore)
            if bytes[position + 1] == UInt8(ascii: "{") { try output() } else { try tag() }
            textStart = position
        }
        addText(textStart..<bytes.count, trimEnd: false)
    }

    private mutating func addText(_ range: Range<Int>, trimEnd: Bool) {
        var (start, end) = (range.lowerBound, range.upperBound)
        if trimsNext {
            while start < end, source.bytes[start].isLiquidSpace { start += 1 }
        }
        if trimEnd {
            while end > start, source.bytes[end - 1].isLiquidSpace { end -= 1 }
        }
        trimsNext = false
        if start < end { tokens.append(LiquidToken(kind: .text, start: start, content: start..<end)) }
    }

    private mutating func output() throws(LiquidError) {
        let start = position
        guard let close = source.find("}}", from: start + 2) else {
            throw source.error(at: start, "this output is never closed", expected: "}}")
        }
        tokens.append(LiquidToken(kind: .output, start: start, content: inner(from: start, to: close)))
        position = close + 2
    }

    /// What stands between the delimiters, without the hyphens; remembers a closing one.
    private mutating func inner(from start: Int, to close: Int) -> Range<Int> {
        var (lower, upper) = (start + 2, close)
        if lower < upper, source.bytes[lower] == UInt8(ascii: "-") { lower += 1 }
        trimsNext = upper > lower && source.bytes[upper - 1] == UInt8(ascii: "-")
        if trimsNext { upper -= 1 }
        return lower..<upper
    }

    private mutating func tag() throws(LiquidError) {
        let start = position
        guard let close = source.find("%}", from: start + 2) else {
            throw source.error(at: start, "this tag is never closed", expected: "%}")
        }
        let content = inner(from: start, to: close)
        position = close + 2
        let tag = named(content, start: start)
        switch tag.kind {
        case .tag("#"): break
        case .tag("raw"): try raw(from: start)
        case .tag("comment"): try comment(from: start)
        case .tag("doc"): try doc(tag)
        case .tag("liquid"): try lines(of: tag.content)
        case .tag(""): throw source.error(at: start, "a tag without a name", expected: "the name of a tag")
        default: tokens.append(tag)
        }
    }

    /// Splits the content of a tag into its name and its arguments.
    private func named(_ content: Range<Int>, start: Int) -> LiquidToken {
        var index = content.lowerBound
        while index < content.upperBound, source.bytes[index].isLiquidSpace { index += 1 }
        let nameStart = index
        if index < content.upperBound, source.bytes[index] == UInt8(ascii: "#") {
            return LiquidToken(kind: .tag(name: "#"), start: start, content: index..<content.upperBound)
        }
        while index < content.upperBound, source.bytes[index].isLiquidNamePart { index += 1 }
        return LiquidToken(
            kind: .tag(name: source.text(nameStart..<index)), start: start,
            content: index..<content.upperBound)
    }

    /// The next tag at or after `position`, if any, without taking it apart further.
    private func nextTag() -> (open: Int, tag: LiquidToken, close: Int)? {
        guard let open = source.find("{%", from: position), let close = source.find("%}", from: open + 2)
        else {
            return nil
        }
        var (lower, upper) = (open + 2, close)
        if lower < upper, source.bytes[lower] == UInt8(ascii: "-") { lower += 1 }
        if upper > lower, source.bytes[upper - 1] == UInt8(ascii: "-") { upper -= 1 }
        return (open, named(lower..<upper, start: open), close)
    }

    private mutating func raw(from start: Int) throws(LiquidError) {
        let textStart = position
        while let open = source.find("{%", from: position) {
            position = open
            guard let next = nextTag() else { break }
            if next.tag.kind == .tag(name: "endraw") {
                addText(textStart..<open, trimEnd: source.bytes[open + 2] == UInt8(ascii: "-"))
                _ = inner(from: open, to: next.close)
                position = next.close + 2
                return
            }
            position = open + 2
        }
        throw source.error(at: start, "raw is never closed", expected: "{% endraw %}")
    }

    private mutating func comment(from start: Int) throws(LiquidError) {
        var depth = 1
        while let next = nextTag() {
            position = next.close + 2
            if next.tag.kind == .tag(name: "comment") { depth += 1 }
            if next.tag.kind == .tag(name: "endcomment") { depth -= 1 }
            if depth == 0 {
                _ = inner(from: next.open, to: next.close)
                return
            }
        }
        throw source.error(at: start, "this comment is never closed", expected: "{% endcomment %}")
    }

    private mutating func doc(_ tag: LiquidToken) throws(LiquidError) {
        guard source.bytes[tag.content].allSatisfy(\.isLiquidSpace) else {
            throw source.error(at: tag.content.lowerBound, "doc takes no arguments", expected: "%}")
        }
        while let open = source.find("{%", from: position) {
            position = open
            guard let next = nextTag() else { break }
            if next.tag.kind == .tag(name: "doc") {
                throw source.error(at: open, "doc within doc", expected: "{% enddoc %}")
            }
            if next.tag.kind == .tag(name: "enddoc") {
                _ = inner(from: open, to: next.close)
                position = next.close + 2
                return
            }
            position = open + 2
        }
        throw source.error(at: tag.start, "doc is never closed", expected: "{% enddoc %}")
    }

    /// `{% liquid %}`: a tag on each line.
    private mutating func lines(of content: Range<Int>) throws(LiquidError) {
        var commentDepth = 0
        var start = content.lowerBound
        while start < content.upperBound {
            let end =
                source.bytes[start..<content.upperBound].firstIndex { $0 == 10 || $0 == 13 }
                ?? content.upperBound
            let tag = named(start..<end, start: start)
            start = end + 1
            if tag.kind == .tag(name: "comment") {
                commentDepth += 1
            } else if tag.kind == .tag(name: "endcomment"), commentDepth > 0 {
                commentDepth -= 1
            } else if commentDepth == 0 {
                switch tag.kind {
                case .tag("#"): break
                case .tag(""):
                    guard source.bytes[tag.content].allSatisfy(\.isLiquidSpace) else {
                        throw source.error(
                            at: tag.content.lowerBound, "a tag without a name", expected: "the name of a tag")
                    }
                case .tag("liquid"): try lines(of: tag.content)
                default: tokens.append(tag)
                }
            }
        }
        if commentDepth > 0 {
            throw source.error(at: content.lowerBound, "this comment is never closed", expected: "endcomment")
        }
    }
}
