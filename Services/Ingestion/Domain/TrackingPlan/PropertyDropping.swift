import Models

/// Removes properties until the rest conforms, or until it is clear that removing doesn't help.
///
/// What can be removed is a member of an object; elements of arrays stay, or the others would change their places.
/// What a violation costs is the innermost member that it lies in. What is missing cannot be removed, nor can the
/// whole.
struct PropertyDropping {
    /// Violations that are looked at in one round.
    static let violations = 1000
    private static let rounds = 16

    let schema: JSONSchema
    let digest: DigestShape
    private(set) var members: [String: JSON]
    private(set) var dropped: [JSONPointer] = []

    init(schema: JSONSchema, digest: DigestShape, members: [String: JSON]) {
        self.schema = schema
        self.digest = digest
        self.members = members
    }

    /// Removes what the violations point at, and what comes to light then; true when the rest conforms.
    /// Personal values that violate the schema go whatever they violate: nothing is left of them to be judged.
    mutating func mend(_ first: [Violation], personal: [Violation]) -> Bool {
        var violations = first
        var personal = personal
        for _ in 0..<Self.rounds {
            guard let places = places(of: violations, personal: personal) else { return false }
            personal = []
            for place in places {
                members = Self.removing(place.tokens[...], from: .object(members)).object ?? members
                dropped.append(place)
            }
            var evaluation = SchemaEvaluation(schema: schema, root: .object(members), digest: digest)
            violations = evaluation.violations(limit: Self.violations)
            if violations.isEmpty { return true }
        }
        return false
    }

    /// The innermost members that hold the violations, each once; nil when one of them cannot be mended.
    private func places(of violations: [Violation], personal: [Violation]) -> [JSONPointer]? {
        var places: Set<JSONPointer> = []
        let cannotBeMended = violations.contains {
            $0.keyword == "required" || $0.keyword == Violation.budget
        }
        if cannotBeMended { return nil }
        for violation in violations + personal {
            switch place(of: violation.pointer) {
            case .member(let pointer): places.insert(pointer)
            case .gone: break
            case .whole: return nil
            }
        }
        // Of one within the other the inner goes first: that may be enough.
        let outer = Set(
            places.flatMap { place in place.tokens.indices.map { JSONPointer(Array(place.tokens[..<$0])) } })
        return places.subtracting(outer).sorted { $0.description.precedesInUTF8($1.description) }
    }

    private enum Place {
        case member(JSONPointer)
        /// It was personal, and isn't there any more.
        case gone
        case whole
    }

    private func place(of pointer: JSONPointer) -> Place {
        var value = JSON.object(members)
        var innermost = 0
        for (index, token) in pointer.tokens.enumerated() {
            if let object = value.object {
                guard let member = object[token] else { return .gone }
                innermost = index + 1
                value = member
            } else {
                guard let index = Int(token), let elements = value.array, elements.indices.contains(index)
                else {
                    return .gone
                }
                value = elements[index]
            }
        }
        return innermost == 0 ? .whole : .member(JSONPointer(Array(pointer.tokens[..<innermost])))
    }

    private static func removing(_ tokens: ArraySlice<String>, from value: JSON) -> JSON {
        guard let token = tokens.first else { return value }
        let rest = tokens.dropFirst()
        switch value {
        case .object(var members):
            guard let member = members[token] else { return value }
            members[token] = rest.isEmpty ? nil : removing(rest, from: member)
            return .object(members)
        case .array(var elements):
            guard let index = Int(token), elements.indices.contains(index) else { return value }
            elements[index] = removing(rest, from: elements[index])
            return .array(elements)
        default: return value
        }
    }
}
