/// A regular expression that takes time in proportion to the text, whatever text it is: a subset of ECMA-262 with the
/// flag `u`, matched anywhere in the text as JSON Schema has it.
///
/// The subset: literals; `.` (anything but a line end); classes `[a-z]`, `[^a-z]`; `\d \w \s \D \W \S`; `\t \n \v \f
/// \r \0 \cA \x41 \u0041 \u{1F600}` and escaped punctuation; `^` and `$` (ends of the text); groups `(…)`, `(?:…)`;
/// `|`; `* + ? {m} {m,} {m,n}`, also lazy, which makes no difference to whether a text matches.
///
/// Look-around, back-references, `\b`, `\p{…}` and named groups are refused.
///
/// It is matched as a set of states that all advance together (Ken Thompson, "Regular Expression Search Algorithm",
/// 1968; Russ Cox, "Regular Expression Matching: the Virtual Machine Approach"), without backtracking.
package struct TextPattern: Sendable {
    package let text: String
    let program: [PatternInstruction]

    /// Reads an expression, or says what is wrong with it and where.
    package init(_ text: String) throws(PatternMistake) {
        var parser = try PatternParser(text)
        let tree = try parser.parse()
        guard tree.size < SchemaLimits.patternProgram else {
            throw PatternMistake(
                at: 0, expected: "at most \(SchemaLimits.patternProgram) steps, repetitions written out")
        }
        self.text = text
        program = PatternCompiler.program(of: tree)
    }

    /// Whether the expression matches somewhere in the text.
    package func matches(_ text: String) -> Bool {
        var steps = Int.max
        return matches(text, steps: &steps) ?? false
    }

    /// Whether the expression matches somewhere in the text; nil when that takes more steps than are left.
    func matches(_ text: String, steps: inout Int) -> Bool? {
        var matcher = PatternMatcher(program)
        let matches = matcher.matches(text, stepsLeft: &steps)
        return steps < 0 ? nil : matches
    }
}

/// Why a text is no regular expression of the subset.
package struct PatternMistake: Error, Hashable, Sendable {
    /// Unicode scalars before the mistake.
    package var position: Int
    /// What should have been there.
    package var expected: String

    init(at position: Int, expected: String) {
        self.position = position
        self.expected = expected
    }
}

extension PatternMistake: CustomStringConvertible {
    package var description: String { "\(expected) at character \(position)" }
}
