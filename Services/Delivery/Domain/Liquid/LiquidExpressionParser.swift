/// Expressions, filters and conditions.
extension LiquidScanner {
    mutating func pipeline() throws(LiquidError) -> LiquidPipeline {
        let start = offset
        var pipeline = LiquidPipeline(expression: try expression(), filters: [], offset: start)
        while try skip("|") { pipeline.filters.append(try filterCall()) }
        try expectEnd()
        return pipeline
    }

    private mutating func filterCall() throws(LiquidError) -> LiquidFilterCall {
        let start = offset
        guard case .name(let name) = lexeme else { throw unexpected("the name of a filter") }
        guard let filter = LiquidFilter.named[name] else {
            throw source.error(
                at: start, "there is no filter “\(name)”",
                expected: "one of \(LiquidFilter.named.keys.sorted().joined(separator: ", "))")
        }
        try advance()
        var call = LiquidFilterCall(name: name, positional: [], keywords: [:], offset: start)
        if try skip(":") {
            repeat {
                if case .name(let keyword) = lexeme, peeksColon {
                    guard filter.keywords.contains(keyword) else {
                        throw source.error(
                            at: offset, "“\(name)” has no argument “\(keyword)”",
                            expected: filter.keywords.isEmpty
                                ? "a value" : filter.keywords.sorted().joined(separator: ", "))
                    }
                    try advance()
                    try expect(":")
                    call.keywords[keyword] = try expression()
                } else {
                    call.positional.append(try expression())
                }
            } while try skip(",")
        }
        guard filter.arguments.contains(call.positional.count) else {
            let (least, most) = (filter.arguments.lowerBound, filter.arguments.upperBound)
            throw source.error(
                at: start, "“\(name)” has \(call.positional.count) arguments",
                expected: least == most ? "\(least) arguments" : "\(least) to \(most) arguments")
        }
        return call
    }

    /// A colon follows the current word.
    private var peeksColon: Bool {
        var copy = self
        guard (try? copy.advance()) != nil else { return false }
        return copy.lexeme == .sign(":")
    }

    mutating func expression() throws(LiquidError) -> LiquidExpression {
        switch lexeme {
        case .text(let text):
            try advance()
            return .literal(.string(text))
        case .integer(let number):
            try advance()
            return .literal(.integer(number))
        case .double(let number):
            try advance()
            return .literal(.double(number))
        case .sign("("):
            try advance()
            let lower = try expression()
            try expect("..")
            let upper = try expression()
            try expect(")")
            return .range(lower, upper)
        case .sign("["):
            try advance()
            let root = LiquidSegment.computed(try expression())
            try expect("]")
            return .path(root: root, try segments())
        case .name(let name):
            try advance()
            if let literal = Self.words[name] { return .literal(literal) }
            return .path(root: .name(name), try segments())
        case .sign, .end:
            throw unexpected("a value")
        }
    }

    private static let words: [String: LiquidValue] = [
        "nil": .null, "null": .null, "true": .bool(true), "false": .bool(false), "empty": .empty,
        "blank": .blank,
    ]

    private mutating func segments() throws(LiquidError) -> [LiquidSegment] {
        var segments: [LiquidSegment] = []
        while true {
            if try skip(".") {
                guard case .name(let name) = lexeme else { throw unexpected("a name") }
                try advance()
                segments.append(.name(name))
            } else if try skip("[") {
                segments.append(.computed(try expression()))
                try expect("]")
            } else {
                return segments
            }
        }
    }

    mutating func condition() throws(LiquidError) -> LiquidCondition {
        // A loop, so that a condition of a thousand terms doesn't need a thousand stack frames to be read.
        var terms = [try comparison()]
        var joins: [Bool] = []
        while true {
            if try skipName("and") {
                joins.append(true)
            } else if try skipName("or") {
                joins.append(false)
            } else {
                break
            }
            terms.append(try comparison())
            guard terms.count <= 100 else { throw unexpected("at most 100 terms in a condition") }
        }
        try expectEnd()
        var result = terms[terms.count - 1]
        for index in joins.indices.reversed() {
            result = joins[index] ? .and(terms[index], result) : .or(terms[index], result)
        }
        return result
    }

    private mutating func comparison() throws(LiquidError) -> LiquidCondition {
        let left = try expression()
        let place = offset
        let relation: LiquidOperator
        switch lexeme {
        case .sign("<>"): relation = .notEqual
        case .sign(let sign):
            guard let known = LiquidOperator(rawValue: sign) else {
                throw unexpected("==, !=, <, >, <=, >= or contains")
            }
            relation = known
        case .name("contains"): relation = .contains
        case .name("and"), .name("or"), .end: return .truth(left)
        default: throw unexpected("==, !=, <, >, <=, >=, contains, and, or")
        }
        try advance()
        return .comparison(left, relation, try expression(), offset: place)
    }
}
