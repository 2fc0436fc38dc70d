import Models

/// Reads the text form of a rule into its JSON form, which is then checked like any other.
struct RuleTextParser {
    typealias Problem = RuleTextProblem

    private let bytes: [UInt8]
    private let tokens: [RuleToken]
    var index = 0
    private var depth = 0

    init(_ bytes: [UInt8], tokens: [RuleToken]) {
        self.bytes = bytes
        self.tokens = tokens
    }

    // MARK: Tokens

    var offset: Int { tokens[index].offset }

    func kind(ahead distance: Int = 0) -> RuleToken.Kind {
        index + distance < tokens.count ? tokens[index + distance].kind : .end
    }

    mutating func advance(_ count: Int = 1) { index = min(index + count, tokens.count - 1) }

    /// Whether these words come next.
    func comes(_ words: String...) -> Bool { comes(words) }

    func comes(_ words: [String]) -> Bool {
        words.indices.allSatisfy { kind(ahead: $0) == .word(words[$0]) }
    }

    /// Takes these words if they come next.
    mutating func accept(_ words: String...) -> Bool {
        guard comes(words) else { return false }
        advance(words.count)
        return true
    }

    mutating func accept(sign: String) -> Bool {
        guard kind() == .sign(sign) else { return false }
        advance()
        return true
    }

    func problem(_ expected: String) -> Problem { RuleToken.problem(offset, expected, bytes) }

    mutating func expect(_ words: String...) throws(Problem) {
        for word in words {
            guard kind() == .word(word) else { throw problem("\"\(word)\"") }
            advance()
        }
    }

    /// Takes one of these words.
    mutating func expect(oneOf words: [String]) throws(Problem) {
        guard case .word(let word) = kind(), words.contains(word) else {
            throw problem(words.map { "\"\($0)\"" }.joined(separator: " or "))
        }
        advance()
    }

    mutating func expect(sign: String) throws(Problem) {
        guard accept(sign: sign) else { throw problem("\"\(sign)\"") }
    }

    // MARK: Groups

    mutating func whole() throws(Problem) -> RuleNode {
        let rule = try rule()
        guard kind() == .end else { throw problem("\"and\", \"or\", or the end of the rule") }
        return rule
    }

    private mutating func rule() throws(Problem) -> RuleNode {
        let start = offset
        var parts = [try both()]
        while accept("or") { parts.append(try both()) }
        return parts.count == 1 ? parts[0] : RuleNode(["any": RuleNode(parts, at: start)], at: start)
    }

    private mutating func both() throws(Problem) -> RuleNode {
        let start = offset
        var parts = [try part()]
        while accept("and") { parts.append(try part()) }
        return parts.count == 1 ? parts[0] : RuleNode(["all": RuleNode(parts, at: start)], at: start)
    }

    private mutating func part() throws(Problem) -> RuleNode {
        let start = offset
        depth += 1
        defer { depth -= 1 }
        // Groups nest less deep in a rule, parentheses may be more.
        guard depth <= RuleLimits.depth * 4 else {
            throw problem("at most \(RuleLimits.depth) levels of conditions")
        }
        if accept("not") { return RuleNode(["not": try part()], at: start) }
        if accept(sign: "(") {
            let rule = try rule()
            try expect(sign: ")")
            return rule
        }
        for key in ["all", "any"] where comes(key, "of") {
            advance(2)
            try expect(sign: "(")
            let rule = try rule()
            try expect(sign: ")")
            return RuleNode([key: RuleNode([rule], at: start)], at: start)
        }
        return try condition()
    }

    private mutating func condition() throws(Problem) -> RuleNode {
        let start = offset
        if accept("did", "not", "do") { return try absent(start) }
        if accept("did") { return try did(start) }
        for key in ["first", "last"] where accept(key) { return try oneTime(key, start) }
        for key in ["sum", "average", "minimum", "maximum"] where accept(key) {
            return try aggregate(key, start)
        }
        if accept("distinct") { return try distinct(start) }
        if accept("ratio") { return try ratio(start) }
        for (key, name) in [("trait", "name"), ("context", "property"), ("account", "name")]
        where accept(key) {
            var members = [name: try path()]
            members.merge(try comparison()) { $1 }
            return RuleNode([key: RuleNode(members, at: start)], at: start)
        }
        if accept("computed", "trait") {
            var members = ["id": try name("the id of a computed trait")]
            members.merge(try comparison()) { $1 }
            return RuleNode(["computedTrait": RuleNode(members, at: start)], at: start)
        }
        if accept("has") {
            try expect("identifier")
            return RuleNode(
                ["identifier": RuleNode(["type": try name("a type of identifiers")], at: start)], at: start)
        }
        if accept("age") { return try age(start) }
        if accept("date") { return try date(start) }
        if accept("consent") { return try consent(start) }
        if accept("score") {
            var members = ["id": try name("the id of a score")]
            members.merge(try range()) { $1 }
            return RuleNode(["score": RuleNode(members, at: start)], at: start)
        }
        if accept("rfm") { return try rfm(start) }
        if accept("percentile") { return try percentile(start) }
        if accept("in", "stage") {
            return RuleNode(["stage": try name("the id of a stage")], at: start)
        }
        if accept("in") {
            try expect("segment")
            return RuleNode(["segment": try name("the id of a segment")], at: start)
        }
        throw problem(
            "a condition, which begins with did, did not do, first, last, sum of, average of, minimum of, maximum of, "
                + "distinct, ratio of, trait, computed trait, account, context, has identifier, age by, date of, consent, score, rfm, percentile, in segment, in stage, not or ("
        )
    }
}
