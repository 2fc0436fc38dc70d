import Models

/// What the conditions of the text form are made of.
extension RuleTextParser {
    // MARK: Events

    mutating func events() throws(Problem) -> Members {
        let start = offset
        let kinds = [
            "event": "track", "page": "page", "screen": "screen", "identify": "identify", "group": "group",
        ]
        var members: Members = [:]
        let isAny = accept("any")
        if case .word(let word) = kind(), let kind = kinds[word] {
            advance()
            if kind != "track" { members["type"] = RuleNode(.string(kind), at: start) }
            if isAny {
                if kind == "track" { members["event"] = RuleNode("*", at: start) }
                return members
            }
        } else if isAny {
            throw problem("\"event\", \"page\", \"screen\", \"identify\" or \"group\"")
        }
        let namesAt = offset
        var names: [RuleNode] = []
        repeat {
            let at = offset
            guard case .text(let name) = kind() else {
                throw problem("the name of an event in quotes, or \"any event\"")
            }
            advance()
            names.append(RuleNode(.string(name), at: at))
        } while comesAnotherName() && accept("or")
        members["event"] = names.count == 1 && names[0].json != "*" ? names[0] : RuleNode(names, at: namesAt)
        return members
    }

    private func comesAnotherName() -> Bool {
        guard comes("or"), case .text = kind(ahead: 1) else { return false }
        return true
    }

    mutating func filters() throws(Problem) -> Members {
        let start = offset
        guard accept("where") else { return [:] }
        return ["where": RuleNode(try filterList(), at: start)]
    }

    private mutating func filterList(depth: Int = 1) throws(Problem) -> [RuleNode] {
        var filters = [try filter(depth)]
        while comes("and"), comesFilter(ahead: 1) {
            advance()
            filters.append(try filter(depth))
        }
        return filters
    }

    /// Whether a filter begins there, and no condition.
    private func comesFilter(ahead distance: Int) -> Bool {
        switch kind(ahead: distance) {
        case .name: true
        case .word("any"), .word("date"): kind(ahead: distance + 1) != .word("of")
        case .word("consent"): !isQuoted(ahead: distance + 1)
        case .word("account"): !comesName(ahead: distance + 1)
        case .word(let word): RuleWords.beginsName(word.utf8.first) && !RuleWords.reserved.contains(word)
        default: false
        }
    }

    private func isQuoted(ahead distance: Int) -> Bool {
        if case .text = kind(ahead: distance) { true } else { false }
    }

    /// Whether a property's name comes, which is no comparison.
    private func comesName(ahead distance: Int) -> Bool {
        switch kind(ahead: distance) {
        case .name: true
        case .word(let word): RuleWords.beginsName(word.utf8.first) && !RuleWords.reserved.contains(word)
        default: false
        }
    }

    private mutating func filter(_ depth: Int) throws(Problem) -> RuleNode {
        let start = offset
        guard accept("any") else {
            var members = ["property": try path()]
            members.merge(try comparison()) { $1 }
            return RuleNode(members, at: start)
        }
        guard depth <= RuleLimits.filterDepth else {
            throw problem("at most \(RuleLimits.filterDepth) lists within each other")
        }
        var members = ["any": try path()]
        try expect("with")
        try expect(sign: "(")
        let filtersAt = offset
        members["where"] = RuleNode(try filterList(depth: depth + 1), at: filtersAt)
        try expect(sign: ")")
        return RuleNode(members, at: start)
    }

    mutating func path() throws(Problem) -> RuleNode { try name("a property", isWord: false) }

    /// A name in backquotes, or a word; one that is a word of the language only where nothing else can come.
    mutating func name(_ expected: String, isWord: Bool = true) throws(Problem) -> RuleNode {
        let start = offset
        switch kind() {
        case .name(let name):
            advance()
            return RuleNode(.string(name), at: start)
        case .word(let word)
        where isWord || RuleWords.beginsName(word.utf8.first) && !RuleWords.reserved.contains(word):
            advance()
            return RuleNode(.string(word), at: start)
        default:
            throw problem("\(expected), in backquotes if it is a word of the language")
        }
    }

    // MARK: Comparisons

    mutating func comparison() throws(Problem) -> Members {
        let start = offset
        var members = try plainComparison()
        if comes("ignoring") {
            try expect("ignoring", "case")
            members["ignoreCase"] = RuleNode(true, at: start)
        }
        return members
    }

    private mutating func plainComparison() throws(Problem) -> Members {
        if accept(sign: "=") { return ["equals": try value()] }
        if accept(sign: "!=") { return ["notEquals": try value()] }
        for (sign, key) in [(">=", "atLeast"), (">", "greaterThan"), ("<=", "atMost"), ("<", "lessThan")]
        where accept(sign: sign) { return [key: try bound()] }
        if accept("contains") { return ["contains": try value()] }
        for (word, key) in [("starts", "startsWith"), ("ends", "endsWith")] where accept(word) {
            try expect("with")
            return [key: try value()]
        }
        let start = offset
        if accept("exists") { return ["exists": RuleNode(true, at: start)] }
        if accept("does") {
            try expect("not", "exist")
            return ["exists": RuleNode(false, at: start)]
        }
        if accept("not") {
            try expect("in")
            return ["notIn": try values()]
        }
        if accept("in", "the") {
            let key = comes("next") ? "withinNext" : "withinLast"
            try expect(oneOf: ["last", "next"])
            return [key: try length()]
        }
        if accept("in") { return ["in": try values()] }
        if accept("more", "than") {
            let length = try length()
            let key = comes("ahead") ? "moreThanAhead" : "moreThanAgo"
            try expect(oneOf: ["ago", "ahead"])
            return [key: length]
        }
        throw problem(
            "a comparison: =, !=, <, <=, >, >=, in, not in, contains, starts with, ends with, exists, does not exist, "
                + "in the last, in the next or more than")
    }

    private mutating func values() throws(Problem) -> RuleNode {
        let start = offset
        try expect(sign: "(")
        var values = [try value()]
        while accept(sign: ",") { values.append(try value()) }
        try expect(sign: ")")
        return RuleNode(values, at: start)
    }

    /// Text, a number, true or false.
    private mutating func value() throws(Problem) -> RuleNode {
        let start = offset
        switch kind() {
        case .text(let text):
            advance()
            return RuleNode(.string(text), at: start)
        case .word(let word):
            guard let json = try? JSONParser.parse(word), json.number != nil || json.bool != nil else {
                fallthrough
            }
            advance()
            return RuleNode(json, at: start)
        default: throw problem("text in quotes, a number, true or false")
        }
    }

    /// A decimal number or a time.
    private mutating func bound() throws(Problem) -> RuleNode {
        if case .word(let word) = kind(), Instant(rfc3339: word) != nil {
            defer { advance() }
            return RuleNode(.string(word), at: offset)
        }
        return try decimal("a number or a time such as 2026-01-31T00:00:00Z")
    }

    // MARK: Numbers

    /// A decimal number with all its digits.
    private mutating func decimal(_ expected: String = "a number") throws(Problem) -> RuleNode {
        let start = offset
        switch kind() {
        case .word(let word), .text(let word):
            guard let amount = Amount(decimal: word) else { throw problem(expected) }
            advance()
            return RuleNode(amount.json, at: start)
        default: throw problem(expected)
        }
    }

    /// A whole number.
    mutating func number() throws(Problem) -> RuleNode {
        let start = offset
        guard case .word(let word) = kind(), let number = Int64(word) else { throw problem("a whole number") }
        advance()
        return RuleNode(.integer(number), at: start)
    }

    /// `at least 3 times` with one of the nouns behind it, or without any; nil if no count comes.
    mutating func count(_ nouns: String?...) throws(Problem) -> Members? {
        let start = offset
        let members: Members
        if accept("at", "least") {
            members = ["atLeast": try number()]
        } else if accept("at", "most") {
            members = ["atMost": try number()]
        } else if accept("exactly") {
            members = ["exactly": try number()]
        } else if accept("between") {
            let low = try number()
            try expect("and")
            members = ["between": RuleNode([low, try number()], at: start)]
        } else {
            return nil
        }
        let words = nouns.compactMap { $0 }
        if !words.isEmpty { try expect(oneOf: words) }
        return members
    }

    mutating func range() throws(Problem) -> Members {
        let start = offset
        for (words, key) in [
            (["at", "least"], "atLeast"), (["at", "most"], "atMost"), (["more", "than"], "greaterThan"),
            (["less", "than"], "lessThan"), (["exactly"], "exactly"),
        ] where comes(words) {
            advance(words.count)
            return [key: try decimal()]
        }
        guard accept("between") else {
            throw problem(
                "\"at least\", \"at most\", \"more than\", \"less than\", \"exactly\" or \"between\"")
        }
        let low = try decimal()
        try expect("and")
        return ["between": RuleNode([low, try decimal()], at: start)]
    }

    // MARK: Times

    /// A window, or nothing if none comes.
    mutating func window() throws(Problem) -> Members {
        if accept("since") { return ["since": try start()] }
        guard comes("in") && !comes("in", "segment") && !comes("in", "stage") || comes("within") else {
            return [:]
        }
        advance()
        guard kind(ahead: 1) == .word("calendar") else { return ["within": try length()] }
        let start = offset
        let days = try number()
        try expect("calendar")
        try expect(oneOf: ["day", "days"])
        try expect("in")
        return ["within": RuleNode(["days": days, "zone": try zone()], at: start)]
    }

    /// A time, or a date in a zone.
    mutating func start() throws(Problem) -> RuleNode {
        let start = offset
        guard case .word(let word) = kind(), CivilDate(text: word) != nil || Instant(rfc3339: word) != nil
        else {
            throw problem("a time such as 2026-01-31T00:00:00Z, or a date such as 2026-01-31")
        }
        advance()
        guard word.utf8.count == 10 else { return RuleNode(.string(word), at: start) }
        try expect("in")
        return RuleNode(["date": RuleNode(.string(word), at: start), "zone": try zone()], at: start)
    }

    mutating func zone() throws(Problem) -> RuleNode {
        let start = offset
        guard case .word(let word) = kind(), CivilZone(name: word) != nil else {
            throw problem("a time zone of the IANA database such as Europe/Berlin, or UTC")
        }
        advance()
        return RuleNode(.string(word), at: start)
    }

    /// A length of time: `1 day 12 hours`, or as in JSON `1d12h`.
    mutating func length() throws(Problem) -> RuleNode {
        let start = offset
        let units = ["day": "d", "hour": "h", "minute": "m", "second": "s", "millisecond": "ms"]
        var text = ""
        while case .word(let number) = kind(), number.utf8.allSatisfy({ $0 &- 48 < 10 }),
            case .word(let unit) = kind(ahead: 1),
            let short = units[unit] ?? (unit.hasSuffix("s") ? units[String(unit.dropLast())] : nil)
        {
            text += number + short
            advance(2)
        }
        if text.isEmpty, case .word(let word) = kind(), Duration(text: word) != nil {
            text = word
            advance()
        }
        guard !text.isEmpty else { throw problem("a length of time such as 2 days, 48 hours or 90d") }
        return RuleNode(.string(text), at: start)
    }
}
