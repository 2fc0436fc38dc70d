package import Models

/// That a value is not as its schema says.
package struct Violation: Hashable, Sendable {
    /// Where the value stands.
    package var pointer: JSONPointer
    /// The keyword of the schema that it violates; `budget` when it was too costly to tell.
    package var keyword: String
    /// What must be the case, to be read after the place. It never quotes the value.
    package var detail: String

    package init(_ pointer: JSONPointer, _ keyword: String, _ detail: String) {
        self.pointer = pointer
        self.keyword = keyword
        self.detail = detail
    }

    /// The keyword of the violation that a value is too costly to check.
    static let budget = "budget"

    /// One sentence for people.
    package var sentence: String {
        "\(pointer.tokens.isEmpty ? "the whole" : pointer.abbreviated) \(detail)"
    }

    package var json: JSON {
        [
            "pointer": .string(pointer.abbreviated), "keyword": .string(keyword), "detail": .string(detail),
        ]
    }
}
