/// A value is not what was expected.
package struct DecodingProblem: Error, Hashable, Sendable {
    /// Dotted path of the value, such as `context.traits.email`; empty for the whole document.
    package var path: String
    /// What should have been there, such as "a string".
    package var expected: String
    /// One sentence for people.
    package var message: String

    package init(path: String, expected: String, message: String) {
        self.path = path
        self.expected = expected
        self.message = message
    }
}

extension DecodingProblem: CustomStringConvertible {
    package var description: String { message }
}
