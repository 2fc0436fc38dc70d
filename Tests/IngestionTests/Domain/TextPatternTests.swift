import Models
import Testing

@testable import IngestionDomain

@Suite("Patterns")
struct TextPatternTests {
    @Test("the subset of ECMA-262 matches as it does there")
    func subset() throws {
        let table: [(String, good: [String], bad: [String])] = [
            ("", ["", "x"], []), ("a", ["a", "bab"], ["", "b"]),
            ("^abc$", ["abc"], ["abcd", "xabc", "abc\n"]),
            ("a.c", ["abc", "a\u{1F600}c"], ["a\nc", "a\u{2028}c", "ac"]), ("^a|b$", ["ax", "xb"], ["xax"]),
            ("^(a|b)+$", ["abba"], ["", "abc"]), ("^(?:ab){2}$", ["abab"], ["ab", "ababab"]),
            ("^a{2,3}$", ["aa", "aaa"], ["a", "aaaa"]), ("^a{2,}$", ["aa", "aaaaa"], ["a"]),
            ("^a{0}$", [""], ["a"]), ("^a{0,2}b$", ["b", "ab", "aab"], ["aaab"]),
            ("^a+?b*?$", ["aab", "a"], ["b"]),
            (#"^\d+$"#, ["0123"], ["٣", "a", ""]), (#"^\w+$"#, ["aZ_9"], ["é", "-"]),
            (#"^\s$"#, [" ", "\u{A0}", "\u{FEFF}", "\n", "\u{2028}"], ["\u{180E}", "x", "\u{85}"]),
            (#"^\D\W\S$"#, ["a- ".replacing(" ", with: "x")], ["1-x", "aax", "a- "]),
            ("^[a-c]$", ["a", "c"], ["d", "-"]),
            ("^[^a-c]$", ["d", "\n"], ["a"]), ("^[a-]$", ["a", "-"], ["b"]), ("^[-a]$", ["-"], ["b"]),
            (#"^[\d\-x]$"#, ["5", "-", "x"], ["y"]), (#"^[\]\\]$"#, ["]", "\\"], ["["]),
            ("[]", [], ["", "a"]),
            ("^[^]$", ["a", "\n"], [""]), (#"^\t\n\v\f\r\0$"#, ["\t\n\u{B}\u{C}\r\0"], []),
            (#"^\cA\x41\u0042\u{1F600}\uD83D\uDE00$"#, ["\u{1}AB\u{1F600}\u{1F600}"], []),
            (#"^\.\*\/\$\^$"#, [".*/$^"], ["x"]), ("^(a*)*$", ["", "aaa"], ["b"]), ("(|a)+", ["", "a"], []),
            ("^(a|ab)(c|bcd)$", ["abcd", "ac", "abc", "abbcd"], ["abbc"]), ("x*", [""], []),
            ("^$", [""], ["a"]),
            ("a$b", [], ["ab", "a", "b"]), ("(^a|b)c", ["ac", "xbc"], ["xac"]),
            (#"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"#, ["a@b.de"], ["a@b", "a b@c.de"]),
            ("^(?:[0-9]{1,3}\\.){3}[0-9]{1,3}$", ["1.2.3.4"], ["1.2.3"]), ("^[😀-😂]$", ["😁"], ["😃"]),
            ("^e\u{301}$", ["e\u{301}"], ["\u{E9}"]),
        ]
        for (pattern, good, bad) in table {
            let compiled = try TextPattern(pattern)
            for text in good {
                #expect(compiled.matches(text), "\(pattern) matches \(text.debugDescription)")
            }
            for text in bad {
                #expect(!compiled.matches(text), "\(pattern) doesn't match \(text.debugDescription)")
            }
        }
    }

    @Test("what is no pattern of the subset is refused where it is wrong")
    func refused() {
        let table: [(String, Int)] = [
            (#"(a)\1"#, 3), (#"\k<n>"#, 0), ("a(?=b)", 3), ("a(?!b)", 3), ("(?<=a)b", 2), ("(?<n>a)", 2),
            (#"\bx"#, 0),
            (#"\p{L}"#, 0), ("a(b", 1), ("a)b", 1), ("[a", 0), ("*a", 0), ("a**", 3), ("a{2}{3}", 7),
            ("a{3,2}", 1),
            ("a{", 2), ("a{x}", 2), ("a{1001}", 6), ("{", 0), ("a}", 1), ("]", 0), ("[z-a]", 1),
            (#"[\d-z]"#, 1),
            (#"\"#, 1), (#"\a"#, 0), (#"\x4"#, 2), (#"\u12"#, 2), (#"\u{110000}"#, 9), (#"\uD800"#, 6),
            ("^*", 2),
            (#"\01"#, 0), (#"[\b]"#, 1), ("a|*", 2), (#"\c1"#, 2),
        ]
        for (pattern, position) in table {
            do throws(PatternMistake) {
                _ = try TextPattern(pattern)
                Issue.record("\(pattern) is taken")
            } catch {
                #expect(error.position == position, "\(pattern): \(error)")
            }
        }
    }

    @Test("a pattern has bounds, also when nothing is repeated without end")
    func bounds() {
        for pattern in [
            String(repeating: "a", count: 501), "(((a{1000}){1000}){1000}){1000}",
            "((((){1000}){1000}){1000}){1000}",
            "(((((a{0,99}){0,99}){0,99}){0,99}){0,99})",
            String(repeating: "(", count: 200) + String(repeating: ")", count: 200),
        ] { #expect(throws: PatternMistake.self) { try TextPattern(pattern) } }
    }

    @Test("text that makes others backtrack for ever takes steps in proportion to its length")
    func hostile() throws {
        for pattern in ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(a*)*$", "(.*)(.*)(.*)(.*)x", "^([a-z]+)*\\d$"]
        {
            let compiled = try TextPattern(pattern)
            for length in [1000, 10_000] {
                var steps = 60 * length
                #expect(compiled.matches(String(repeating: "a", count: length) + "!", steps: &steps) == false)
                #expect(steps > 0)
            }
        }
        var steps = 100
        #expect(try TextPattern("b").matches(String(repeating: "a", count: 1000), steps: &steps) == nil)
    }

    @Test("random patterns match what a matcher that tries everything matches")
    func oracle() throws {
        var generator = planGenerator()
        var matched = 0
        for _ in 0..<4000 {
            let tree = OraclePattern.random(depth: 3, using: &generator)
            let pattern = try TextPattern(tree.text)
            for _ in 0..<6 {
                let text = (0..<generator.number(0...5)).map { _ in ["a", "b", "c"].pick(&generator) }
                let expected = tree.matches(text.map { Character($0) })
                if expected { matched += 1 }
                #expect(pattern.matches(text.joined()) == expected, "/\(tree.text)/ on \(text.joined())")
            }
        }
        #expect(matched > 1000)
    }

    @Test("random text is a pattern or a mistake within it, and never a crash")
    func noise() {
        var generator = planGenerator()
        let alphabet = Array("ab(){}[]|*+?^$.\\-,:=!<019duxDwkcp").map(String.init)
        for _ in 0..<20_000 {
            let text = (0..<generator.number(0...12)).map { _ in alphabet.pick(&generator) }.joined()
            do throws(PatternMistake) {
                _ = try TextPattern(text).matches("ab01")
            } catch {
                #expect((0...text.unicodeScalars.count).contains(error.position))
            }
        }
    }
}

/// A pattern that is matched by trying every way, by the definition of regular languages.
indirect enum OraclePattern {
    case letter(Character)
    case any
    case among([Character], inverted: Bool)
    case sequence(OraclePattern, OraclePattern)
    case choice(OraclePattern, OraclePattern)
    case repetition(OraclePattern, Int, Int?)
    case start, end, empty

    static func random(depth: Int, using generator: inout SeededGenerator) -> OraclePattern {
        guard depth > 0 else {
            switch generator.number(0...9) {
            case 0: return .any
            case 1: return .among(["a", "c"], inverted: generator.chance(2))
            case 2: return .start
            case 3: return .end
            case 4: return .empty
            default: return .letter(["a", "b", "c"].pick(&generator))
            }
        }
        func part() -> OraclePattern { random(depth: depth - 1, using: &generator) }
        switch generator.number(0...5) {
        case 0, 1: return .sequence(part(), part())
        case 2, 3: return .choice(part(), part())
        case 4:
            let atLeast = generator.number(0...2)
            return .repetition(part(), atLeast, generator.chance(2) ? nil : atLeast + generator.number(0...2))
        default: return random(depth: 0, using: &generator)
        }
    }

    var text: String {
        switch self {
        case .letter(let letter): String(letter)
        case .any: "."
        case .among(let letters, let inverted): "[\(inverted ? "^" : "")\(String(letters))]"
        case .sequence(let left, let right): "(?:\(left.text))(\(right.text))"
        case .choice(let left, let right): "(?:\(left.text)|\(right.text))"
        case .repetition(let part, let atLeast, let atMost):
            "(?:\(part.text))"
                + (atMost == nil && atLeast == 0
                    ? "*"
                    : atMost == nil && atLeast == 1 ? "+" : "{\(atLeast),\(atMost.map(String.init) ?? "")}")
        case .start: "^"
        case .end: "$"
        case .empty: ""
        }
    }

    func matches(_ text: [Character]) -> Bool {
        (0...text.count).contains { !ends(text, from: $0).isEmpty }
    }

    /// Everywhere that a match from a place can end.
    private func ends(_ text: [Character], from place: Int) -> Set<Int> {
        func one(_ isTaken: (Character) -> Bool) -> Set<Int> {
            place < text.count && isTaken(text[place]) ? [place + 1] : []
        }
        switch self {
        case .letter(let letter): return one { $0 == letter }
        case .any: return one { _ in true }
        case .among(let letters, let inverted): return one { letters.contains($0) != inverted }
        case .start: return place == 0 ? [place] : []
        case .end: return place == text.count ? [place] : []
        case .empty: return [place]
        case .sequence(let left, let right):
            return Set(left.ends(text, from: place).flatMap { right.ends(text, from: $0) })
        case .choice(let left, let right):
            return left.ends(text, from: place).union(right.ends(text, from: place))
        case .repetition(let part, let atLeast, let atMost):
            var current: Set<Int> = [place]
            var result: Set<Int> = atLeast == 0 ? current : []
            // More repetitions than places that there are lead nowhere new.
            for count in 1...max(1, atMost ?? (atLeast + text.count + 1)) where count <= (atMost ?? .max) {
                current = Set(current.flatMap { part.ends(text, from: $0) })
                if count >= atLeast { result.formUnion(current) }
            }
            return result
        }
    }
}
