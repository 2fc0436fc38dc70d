/// Builds the tree of a template from its pieces.
struct LiquidParser {
    let source: LiquidSource
    private let limits: LiquidLimits
    private let tokens: [LiquidToken]
    private var index = 0
    private var depth = 0

    static func parse(_ source: LiquidSource, limits: LiquidLimits) throws(LiquidError) -> [LiquidNode] {
        guard source.bytes.count <= limits.sourceBytes else {
            throw source.error(
                at: 0, "the template has \(source.bytes.count) bytes",
                expected: "at most \(limits.sourceBytes)")
        }
        var parser = LiquidParser(
            source: source, limits: limits, tokens: try LiquidLexer.tokens(of: source))
        return try parser.nodes()
    }

    private init(source: LiquidSource, limits: LiquidLimits, tokens: [LiquidToken]) {
        (self.source, self.limits, self.tokens) = (source, limits, tokens)
    }

    private mutating func nodes() throws(LiquidError) -> [LiquidNode] {
        var nodes: [LiquidNode] = []
        while index < tokens.count {
            if let node = try node(tokens[index]) { nodes.append(node) }
        }
        return nodes
    }

    /// The nodes up to one of `ends`, and the tag that ended them.
    mutating func body(
        of opener: LiquidToken, until ends: Set<String>
    ) throws(LiquidError) -> (nodes: [LiquidNode], end: LiquidToken, name: String) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.nesting else {
            throw source.error(
                at: opener.start, "blocks within blocks too deep", expected: "at most \(limits.nesting)")
        }
        var nodes: [LiquidNode] = []
        while index < tokens.count {
            let token = tokens[index]
            if case .tag(let name) = token.kind, ends.contains(name) {
                index += 1
                return (nodes, token, name)
            }
            if let node = try node(token) { nodes.append(node) }
        }
        throw source.error(
            at: opener.start, "this block is never closed",
            expected: ends.filter { $0.hasPrefix("end") }.sorted().map { "{% \($0) %}" }.joined(
                separator: " or "))
    }

    private mutating func node(_ token: LiquidToken) throws(LiquidError) -> LiquidNode? {
        index += 1
        switch token.kind {
        case .text: return .text(source.text(token.content))
        case .output: return try output(token)
        case .tag(let name): return try tag(name, token)
        }
    }

    private func output(_ token: LiquidToken) throws(LiquidError) -> LiquidNode? {
        var scanner = try LiquidScanner(source, token.content)
        if scanner.lexeme == .end { return nil }
        return .output(try scanner.pipeline())
    }

    private mutating func tag(_ name: String, _ token: LiquidToken) throws(LiquidError) -> LiquidNode? {
        switch name {
        case "echo": return try output(token)
        case "if": return try branches(token, negated: false)
        case "unless": return try branches(token, negated: true)
        case "case": return try choices(token)
        case "for": return try loop(token)
        case "tablerow": return try table(token)
        case "assign": return try assign(token)
        case "capture": return try capture(token)
        case "increment": return .count(try variable(token), by: 1)
        case "decrement": return .count(try variable(token), by: -1)
        case "cycle": return try cycle(token)
        case "ifchanged": return .ifChanged(try body(of: token, until: ["endifchanged"]).nodes)
        case "break": return .interrupt(.break)
        case "continue": return .interrupt(.continue)
        default:
            throw source.error(
                at: token.start, "the tag “\(name)” can't stand here",
                expected: name.hasPrefix("end") || ["else", "elsif", "when"].contains(name)
                    ? "the tag that opens it, before it"
                    : "if, unless, case, for, tablerow, assign, capture, echo, liquid, comment, raw, cycle,"
                        + " increment, decrement, ifchanged, break or continue")
        }
    }
}
