import Models

/// The conditions of the text form.
extension RuleTextParser {
    typealias Members = [String: RuleNode]

    /// `did "A" …`: a count, something unanswered, or the first step of a sequence.
    mutating func did(_ start: Int) throws(Problem) -> RuleNode {
        let events = try events()
        let often = try count("time", "times")
        var same: RuleNode?
        if accept("with", "the", "same") { same = try path() }
        let windowAt = offset
        let window = try window()
        let filters = try filters()
        if comes("and", "then", "no") {
            guard often == nil, same == nil, window.isEmpty else {
                throw problem("only the event, and \"where\", before \"and then no\"")
            }
            return try unanswered(events.merging(filters) { $1 }, start)
        }
        let steps = try steps()
        guard !steps.isEmpty else {
            var members = events.merging(filters) { $1 }.merging(window) { $1 }.merging(often ?? [:]) { $1 }
            members["sameValueOf"] = same
            return RuleNode(["count": RuleNode(members, at: start)], at: start)
        }
        var first = events.merging(filters) { $1 }
        guard same == nil, Set((often ?? ["atLeast": RuleNode(1, at: start)]).keys) == ["atLeast"] else {
            throw RuleTextParser.problem(
                self, start, "a first step with \"at least\" alone, if with a number of times")
        }
        first.merge(often ?? [:]) { $1 }
        if !window.isEmpty {
            guard let length = window["within"], length.json.string != nil else {
                throw RuleTextParser.problem(
                    self, windowAt,
                    "a length of time for a first step; \"all in\" or \"all since\" at the end")
            }
            first["in"] = length
        }
        var members = ["steps": RuleNode([RuleNode(first, at: start)] + steps, at: start)]
        if accept("all") {
            let window = try self.window()
            guard !window.isEmpty else { throw problem("\"in\", \"within\" or \"since\"") }
            members.merge(window) { $1 }
        }
        return RuleNode(["sequence": RuleNode(members, at: start)], at: start)
    }

    private static func problem(_ parser: RuleTextParser, _ offset: Int, _ expected: String) -> Problem {
        var parser = parser
        while parser.index > 0, parser.offset > offset { parser.index -= 1 }
        return parser.problem(expected)
    }

    private mutating func steps() throws(Problem) -> [RuleNode] {
        var steps: [RuleNode] = []
        while comes("then") {
            advance()
            let start = offset
            try expect("did")
            var step = try events()
            if accept("within") || accept("in") { step["within"] = try length() }
            step.merge(try filters()) { $1 }
            if accept("without") {
                let start = offset
                step["without"] = RuleNode(try events().merging(try filters()) { $1 }, at: start)
            }
            steps.append(RuleNode(step, at: start))
        }
        if let end = end() {
            steps.append(
                RuleNode(
                    [
                        "not": RuleNode(end.events.merging(try filters()) { $1 }, at: end.start),
                        "within": end.length,
                    ], at: end.start))
        }
        return steps
    }

    /// `and not did "B" within 24 hours after`, or nothing if that is not what comes.
    private mutating func end() -> (events: Members, length: RuleNode, start: Int)? {
        guard comes("and", "not", "did") else { return nil }
        let before = index
        let start = offset
        advance(3)
        if let events = try? events(), accept("within") || accept("in"), let length = try? length(),
            accept("after")
        {
            return (events, length, start)
        }
        index = before
        return nil
    }

    private mutating func unanswered(_ events: Members, _ start: Int) throws(Problem) -> RuleNode {
        try expect("and", "then", "no")
        let byAt = offset
        var members = events
        members["by"] = RuleNode(try self.events().merging(try filters()) { $1 }, at: byAt)
        try expect("for")
        members["for"] = try length()
        members.merge(try window()) { $1 }
        return RuleNode(["unanswered": RuleNode(members, at: start)], at: start)
    }

    mutating func absent(_ start: Int) throws(Problem) -> RuleNode {
        let members = try events().merging(try window()) { $1 }.merging(try filters()) { $1 }
        return RuleNode(["absent": RuleNode(members, at: start)], at: start)
    }

    mutating func aggregate(_ key: String, _ start: Int) throws(Problem) -> RuleNode {
        try expect("of")
        var members = ["property": try path()]
        try expect("over")
        members.merge(try events()) { $1 }
        members.merge(try range()) { $1 }
        members.merge(try window()) { $1 }
        members.merge(try filters()) { $1 }
        return RuleNode([key: RuleNode(members, at: start)], at: start)
    }

    mutating func distinct(_ start: Int) throws(Problem) -> RuleNode {
        var members = ["property": try path()]
        try expect("over")
        members.merge(try events()) { $1 }
        guard let count = try count("value", "values") else {
            throw problem("\"at least\", \"at most\", \"exactly\" or \"between\"")
        }
        members.merge(count) { $1 }
        members.merge(try window()) { $1 }
        members.merge(try filters()) { $1 }
        return RuleNode(["distinct": RuleNode(members, at: start)], at: start)
    }

    mutating func ratio(_ start: Int) throws(Problem) -> RuleNode {
        try expect("of")
        let ofAt = offset
        var members: Members = [:]
        members["of"] = RuleNode(try events().merging(try filters()) { $1 }, at: ofAt)
        try expect("to")
        let toAt = offset
        members["to"] = RuleNode(try events().merging(try filters()) { $1 }, at: toAt)
        try expect("is")
        members.merge(try range()) { $1 }
        members.merge(try window()) { $1 }
        if accept("among", "at", "least") { members["toAtLeast"] = try number() }
        return RuleNode(["ratio": RuleNode(members, at: start)], at: start)
    }

    mutating func age(_ start: Int) throws(Problem) -> RuleNode {
        try expect("by")
        var members = ["trait": try path()]
        guard let years = try count("year", "years") else {
            throw problem("\"at least\", \"at most\", \"exactly\" or \"between\"")
        }
        members.merge(years) { $1 }
        try expect("in")
        members["zone"] = try zone()
        return RuleNode(["age": RuleNode(members, at: start)], at: start)
    }

    /// `date of birthday is today in Europe/Berlin every year`, `date of trialEnds is at most 3 days ahead in UTC`.
    mutating func date(_ start: Int) throws(Problem) -> RuleNode {
        try expect("of")
        var members = ["trait": try path()]
        try expect("is")
        let awayAt = offset
        if !accept("today") {
            guard let days = try count("day", "days") else {
                throw problem("\"today\", \"at least\", \"at most\", \"exactly\" or \"between\"")
            }
            let key = comes("ago") ? "ago" : "ahead"
            try expect(oneOf: ["ahead", "ago"])
            members[key] = RuleNode(days, at: awayAt)
        }
        try expect("in")
        members["zone"] = try zone()
        let yearlyAt = offset
        if accept("every", "year") { members["yearly"] = RuleNode(true, at: yearlyAt) }
        return RuleNode(["date": RuleNode(members, at: start)], at: start)
    }

    /// `consent "marketing" granted`.
    mutating func consent(_ start: Int) throws(Problem) -> RuleNode {
        let purposeAt = offset
        guard case .text(let purpose) = kind() else { throw problem("the id of a purpose in quotes") }
        advance()
        let stateAt = offset
        guard case .word(let state) = kind() else { throw problem("granted, withdrawn or unknown") }
        try expect(oneOf: ["granted", "withdrawn", "unknown"])
        let members = [
            "purpose": RuleNode(.string(purpose), at: purposeAt), "is": RuleNode(.string(state), at: stateAt),
        ]
        return RuleNode(["consent": RuleNode(members, at: start)], at: start)
    }

    /// `rfm default is "Champions"`, `rfm default recency at least 4 monetary between 2 and 3`.
    mutating func rfm(_ start: Int) throws(Problem) -> RuleNode {
        var members = ["model": try name("the id of a model")]
        let segmentAt = offset
        if accept("is") {
            guard case .text(let segment) = kind() else { throw problem("the name of a segment in quotes") }
            advance()
            members["segment"] = RuleNode(.string(segment), at: segmentAt)
            return RuleNode(["rfm": RuleNode(members, at: start)], at: start)
        }
        let keys = ["recency", "frequency", "monetary"]
        while let key = keys.first(where: { comes($0) && members[$0] == nil }) {
            let scoresAt = offset
            advance()
            guard let scores = try count(nil) else {
                throw problem("\"at least\", \"at most\", \"exactly\" or \"between\"")
            }
            members[key] = RuleNode(scores, at: scoresAt)
        }
        guard members.count > 1 else { throw problem("\"is\", \"recency\", \"frequency\" or \"monetary\"") }
        return RuleNode(["rfm": RuleNode(members, at: start)], at: start)
    }

    /// `percentile spend at least 90`.
    mutating func percentile(_ start: Int) throws(Problem) -> RuleNode {
        var members = ["model": try name("the id of a model")]
        guard let percentile = try count(nil) else {
            throw problem("\"at least\", \"at most\", \"exactly\" or \"between\"")
        }
        members.merge(percentile) { $1 }
        return RuleNode(["percentile": RuleNode(members, at: start)], at: start)
    }

    mutating func oneTime(_ key: String, _ start: Int) throws(Problem) -> RuleNode {
        var members = try events()
        try expect("was")
        members.merge(try timeTest()) { $1 }
        members.merge(try filters()) { $1 }
        return RuleNode([key: RuleNode(members, at: start)], at: start)
    }

    private mutating func timeTest() throws(Problem) -> Members {
        let start = offset
        let window = try window()
        if !window.isEmpty { return window }
        if accept("before") { return ["before": try self.start()] }
        if accept("less", "than") {
            let length = try length()
            try expect("ago")
            return ["ago": RuleNode(["lessThan": length], at: start)]
        }
        if !comesCalendarCount() {
            if accept("at", "least") {
                let length = try length()
                try expect("ago")
                return ["ago": RuleNode(["atLeast": length], at: start)]
            }
            if accept("between") {
                let low = try length()
                try expect("and")
                let high = try length()
                try expect("ago")
                return ["ago": RuleNode(["between": RuleNode([low, high], at: start)], at: start)]
            }
        }
        guard var days = try count(nil) else {
            throw problem(
                "\"in\", \"since\", \"before\", \"at least\", \"less than\", \"between\", \"exactly\" or \"at most\""
            )
        }
        try expect("calendar")
        try expect(oneOf: ["day", "days"])
        try expect("ago", "in")
        days["zone"] = try zone()
        return ["daysAgo": RuleNode(days, at: start)]
    }

    /// Whether `at least 3 calendar` or `between 3 and` comes, which means days of the calendar.
    private func comesCalendarCount() -> Bool {
        kind(ahead: 3) == .word("calendar") || comes("between") && kind(ahead: 2) == .word("and")
    }
}
