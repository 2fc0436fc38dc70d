/// Typed access to the members of an object; what is not as expected is reported with its path.
package struct JSONFields: Sendable {
    package let members: [String: JSON]
    private let path: String

    /// Takes an object that stands at `path` of the document.
    package init(_ json: JSON, at path: String = "") throws(DecodingProblem) {
        guard case .object(let members) = json else {
            throw DecodingProblem(
                path: path, expected: "an object",
                message: "\(path.isEmpty ? "the document" : path) must be an object, found \(json.kind)")
        }
        self.members = members
        self.path = path
    }

    /// The member `key` if it is there and not null.
    package subscript(key: String) -> JSON? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    /// The path of the member `key`.
    package func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The problem that the member `key` is not what was `expected`.
    package func problem(_ key: String, expected: String) -> DecodingProblem {
        let found = members[key].map { "found \($0.kind)" } ?? "but it is missing"
        return DecodingProblem(
            path: path(of: key), expected: expected, message: "\(path(of: key)) must be \(expected), \(found)"
        )
    }

    package func string(_ key: String) throws(DecodingProblem) -> String {
        guard let value = members[key]?.string else { throw problem(key, expected: "a string") }
        return value
    }

    package func optionalString(_ key: String) throws(DecodingProblem) -> String? {
        self[key] == nil ? nil : try string(key)
    }

    package func integer(_ key: String) throws(DecodingProblem) -> Int64 {
        guard let value = members[key]?.integer else { throw problem(key, expected: "a whole number") }
        return value
    }

    package func optionalInteger(_ key: String) throws(DecodingProblem) -> Int64? {
        self[key] == nil ? nil : try integer(key)
    }

    package func number(_ key: String) throws(DecodingProblem) -> Double {
        guard let value = members[key]?.number else { throw problem(key, expected: "a number") }
        return value
    }

    package func bool(_ key: String) throws(DecodingProblem) -> Bool {
        guard let value = members[key]?.bool else { throw problem(key, expected: "true or false") }
        return value
    }

    package func array(_ key: String) throws(DecodingProblem) -> [JSON] {
        guard let value = members[key]?.array else { throw problem(key, expected: "an array") }
        return value
    }

    /// The members of the object `key`.
    package func object(_ key: String) throws(DecodingProblem) -> [String: JSON] {
        guard let value = members[key]?.object else { throw problem(key, expected: "an object") }
        return value
    }

    /// The members of the object `key`; none if it is absent or null.
    package func objectIfPresent(_ key: String) throws(DecodingProblem) -> [String: JSON] {
        self[key] == nil ? [:] : try object(key)
    }

    package func instant(_ key: String) throws(DecodingProblem) -> Instant {
        guard let text = members[key]?.string, let value = Instant(rfc3339: text) else {
            throw problem(key, expected: "an RFC 3339 time")
        }
        return value
    }

    package func optionalInstant(_ key: String) throws(DecodingProblem) -> Instant? {
        self[key] == nil ? nil : try instant(key)
    }

    package func id<Tag>(
        _ key: String, as type: TypedID<Tag>.Type = TypedID<Tag>.self
    ) throws(DecodingProblem) -> TypedID<Tag> {
        guard let text = members[key]?.string, let value = TypedID<Tag>(text) else {
            throw problem(key, expected: "a UUID")
        }
        return value
    }

    package func optionalID<Tag>(
        _ key: String, as type: TypedID<Tag>.Type = TypedID<Tag>.self
    ) throws(DecodingProblem) -> TypedID<Tag>? {
        self[key] == nil ? nil : try id(key)
    }

    /// A string that is one of the raw values of an enum.
    package func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, as type: Choice.Type = Choice.self
    ) throws(DecodingProblem) -> Choice where Choice.RawValue == String {
        guard let text = members[key]?.string, let value = Choice(rawValue: text) else {
            let choices = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw problem(key, expected: "one of \(choices)")
        }
        return value
    }

    /// Typed access to the object `key`.
    package func fields(_ key: String) throws(DecodingProblem) -> JSONFields {
        guard let value = members[key], value.object != nil else { throw problem(key, expected: "an object") }
        return try JSONFields(value, at: path(of: key))
    }
}

extension JSONFields {
    /// Refuses members that mean nothing here, so that a misspelt one does not go unnoticed.
    package func allow(_ known: Set<String>) throws(DecodingProblem) {
        guard let unknown = members.keys.filter({ !known.contains($0) }).min() else { return }
        throw DecodingProblem(
            path: path(of: unknown), expected: "one of \(known.sorted().joined(separator: ", "))",
            message: "\(path(of: unknown)) is not known here")
    }
}
