package import Models

/// One mistake in a rule: where it is and what was expected there.
package struct RuleProblem: Error, Hashable, Sendable {
    package var path: RulePath
    package var expected: String

    package init(_ path: RulePath, expected: String) {
        self.path = path
        self.expected = expected
    }

    /// The same mistake in the form that the whole platform reports.
    package var decodingProblem: DecodingProblem {
        DecodingProblem(
            path: path.description, expected: expected, message: "\(path) is not \(expected)")
    }
}

/// Everything that is wrong with a rule, in the order of the document.
package struct InvalidRule: Error, Hashable, Sendable {
    package var problems: [RuleProblem]

    package init(_ problems: [RuleProblem]) {
        self.problems = problems
    }
}
