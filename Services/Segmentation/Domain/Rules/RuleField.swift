package import Models

/// A JSON value of a rule together with its place, and the typed ways to read it.
///
/// Every reading that fails throws where it failed and what was expected there.
package struct RuleField: Sendable {
    package let json: JSON
    package let path: RulePath

    package init(_ json: JSON, at path: RulePath = RulePath()) {
        self.json = json
        self.path = path
    }

    package func problem(_ expected: String) -> RuleProblem {
        RuleProblem(path, expected: expected)
    }

    /// A member of this object, or nil if it is absent.
    package func optional(_ key: String) -> RuleField? {
        json[key].map { RuleField($0, at: path.appending(key)) }
    }

    /// A member that must be there.
    package func required(_ key: String, _ expected: String) throws(RuleProblem) -> RuleField {
        guard let field = optional(key) else {
            throw RuleProblem(path.appending(key), expected: expected)
        }
        return field
    }

    /// Refuses anything but an object with no other keys than these.
    package func allow(_ keys: [String]) throws(RuleProblem) {
        guard let object = json.object else { throw problem("an object") }
        if let stranger = object.keys.filter({ !keys.contains($0) }).sorted().first {
            throw RuleProblem(
                path.appending(stranger), expected: "no such field; known are \(keys.joined(separator: ", "))"
            )
        }
    }

    /// Text of 1 to `nameLength` characters.
    package func text(_ expected: String) throws(RuleProblem) -> String {
        guard let text = json.string, !text.isEmpty, text.count <= RuleLimits.nameLength else {
            throw problem("\(expected) of 1 to \(RuleLimits.nameLength) characters")
        }
        return text
    }

    /// The elements of a list with their places.
    package func elements(_ range: ClosedRange<Int>, of what: String) throws(RuleProblem) -> [RuleField] {
        guard let array = json.array, range.contains(array.count) else {
            throw problem("a list of \(range.lowerBound) to \(range.upperBound) \(what)")
        }
        return array.enumerated().map { RuleField($0.element, at: path.appending("\($0.offset)")) }
    }

    /// A length of time from a millisecond to the longest window: `"90d"`, `"48h"`, `"1d12h"`.
    package func window() throws(RuleProblem) -> Duration {
        let expected =
            "a length of time such as \"90d\", \"48h\" or \"30m\", from 1ms to \(RuleLimits.window.text)"
        guard let duration = json.string.flatMap({ Duration(text: $0) }),
            duration.milliseconds >= 1, duration <= RuleLimits.window
        else { throw problem(expected) }
        return duration
    }

    /// A whole number in a range.
    package func count(_ range: ClosedRange<Int>) throws(RuleProblem) -> Int {
        guard let integer = json.integer, let value = Int(exactly: integer), range.contains(value) else {
            throw problem("a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// Exactly one of these members, so that a condition says one thing.
    package func one(of keys: [String]) throws(RuleProblem) -> (key: String, field: RuleField) {
        let present = keys.filter { json[$0] != nil }
        guard present.count == 1, let key = present.first, let field = optional(key) else {
            throw problem("exactly one of \(keys.joined(separator: ", "))")
        }
        return (key, field)
    }
}
