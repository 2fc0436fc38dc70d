package import Models

/// One mistake in a schema or a tracking plan: where it is, and what was expected there.
package struct SchemaMistake: Hashable, Sendable {
    package var pointer: JSONPointer
    /// What should have been there, such as "a whole number from 0".
    package var expected: String

    package init(_ pointer: JSONPointer, expected: String) {
        self.pointer = pointer
        self.expected = expected
    }

    /// The same mistake in the form that the whole platform reports.
    package var decodingProblem: DecodingProblem {
        let place = pointer.tokens.isEmpty ? "the document" : pointer.abbreviated
        return DecodingProblem(
            path: pointer.abbreviated, expected: expected, message: "\(place) must be \(expected)")
    }
}

/// Everything that is wrong with a schema or a tracking plan.
package struct InvalidSchema: Error, Hashable, Sendable {
    package var mistakes: [SchemaMistake]

    package init(_ mistakes: [SchemaMistake]) { self.mistakes = mistakes }
}
