/// Reads a regular expression of the subset that `TextPattern` states.
struct PatternParser {
    let scalars: [Unicode.Scalar]
    var position = 0
    private var depth = 0

    init(_ text: String) throws(PatternMistake) {
        scalars = Array(text.unicodeScalars.prefix(SchemaLimits.patternLength + 1))
        guard scalars.count <= SchemaLimits.patternLength else {
            throw PatternMistake(
                at: SchemaLimits.patternLength, expected: "at most \(SchemaLimits.patternLength) characters")
        }
    }

    mutating func parse() throws(PatternMistake) -> PatternTree {
        let tree = try choice()
        guard position == scalars.count else {
            throw mistake("an opening parenthesis before the closing one")
        }
        return tree
    }

    var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    func mistake(_ expected: String) -> PatternMistake { PatternMistake(at: position, expected: expected) }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        position += 1
        return true
    }

    private mutating func choice() throws(PatternMistake) -> PatternTree {
        var parts = [try sequence()]
        while take("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(PatternMistake) -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            parts.append(try term())
        }
        return parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func term() throws(PatternMistake) -> PatternTree {
        if take("^") { return try refusingRepetition(.start) }
        if take("$") { return try refusingRepetition(.end) }
        let part = try atom()
        guard let (atLeast, atMost) = try repetition() else { return part }
        // Lazy or not, the same texts match.
        _ = take("?")
        if try repetition() != nil { throw mistake("nothing repeated twice; a group can be repeated") }
        return .repetition(part, atLeast: atLeast, atMost: atMost)
    }

    private mutating func refusingRepetition(_ tree: PatternTree) throws(PatternMistake) -> PatternTree {
        if try repetition() != nil { throw mistake("no repetition of ^ or $") }
        return tree
    }

    private mutating func atom() throws(PatternMistake) -> PatternTree {
        guard let scalar = next else { throw mistake("something to match") }
        switch scalar {
        case "(": return try group()
        case "[": return .one(try characterClass())
        case ".":
            position += 1
            return .one(ScalarSet.lineEnds.inverted)
        case "\\":
            return .one(try escape(inClass: false))
        case "*", "+", "?", "{": throw mistake("something before the repetition")
        case "}", "]": throw mistake("a backslash before a closing bracket that is meant as such")
        default:
            position += 1
            return .one(ScalarSet(scalar))
        }
    }

    private mutating func group() throws(PatternMistake) -> PatternTree {
        let start = position
        position += 1
        if take("?"), !take(":") {
            throw mistake("\"(?:\"; look-around and named groups are not supported")
        }
        depth += 1
        guard depth <= SchemaLimits.patternDepth else {
            throw mistake("groups at most \(SchemaLimits.patternDepth) deep")
        }
        let tree = try choice()
        depth -= 1
        guard take(")") else {
            position = start
            throw mistake("a closing parenthesis for the one")
        }
        return tree
    }

    /// The bounds of a repetition, if one stands here.
    private mutating func repetition() throws(PatternMistake) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        let start = position
        guard take("{") else { return nil }
        guard let atLeast = number() else { throw mistake("a number of repetitions of at most 1000") }
        var atMost: Int? = atLeast
        if take(",") {
            atMost = nil
            if next != "}" {
                guard let number = number() else { throw mistake("a number of repetitions of at most 1000") }
                atMost = number
            }
        }
        guard take("}") else { throw mistake("\"}\" after the numbers of repetitions") }
        if let atMost, atMost < atLeast {
            position = start
            throw mistake("the smaller number of repetitions first")
        }
        return (atLeast, atMost)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = next, ("0"..."9").contains(scalar) {
            value = (value ?? 0) * 10 + Int(scalar.value - 48)
            position += 1
            if let value, value > 1000 { return nil }
        }
        return value
    }
}
