import Models

/// Why one item of a call is not taken. It says where and what was expected, and never repeats what was sent.
struct ItemRefusal: Error, Hashable, Sendable {
    let reason: String
    /// Dotted path within the item; empty for the whole.
    let path: String

    init(_ reason: String, at path: String = "") {
        self.reason = reason
        self.path = path
    }

    init(_ problem: DecodingProblem) {
        self.init(problem.message, at: problem.path)
    }

    init(_ error: JSONError) {
        self.init("the item is not JSON that is taken here: \(error.message) at its byte \(error.offset)")
    }

    /// The verdict of the item at a position.
    func json(at position: Int) -> JSON {
        var members: [String: JSON] = [
            "position": .integer(Int64(position)), "verdict": "refused", "reason": .string(reason),
        ]
        if !path.isEmpty { members["path"] = .string(path) }
        return .object(members)
    }
}
