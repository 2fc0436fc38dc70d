import Models

/// Drops and hashes what a schema marks as personal (data minimisation, GDPR article 5(1)(c)).
///
/// Members are removed; an element of an array becomes null, so that the others keep their places. A hash is taken
/// of the text of a string, and of the JSON of anything else; null stays, for it tells nothing.
struct Minimisation {
    let schema: JSONSchema
    let hash: (String) -> String
    let digest: DigestShape
    private(set) var treated: [PlanJudgement.Treated] = []
    /// What was wrong with the values before they were treated, and can no longer be told from the event.
    private(set) var violations: [Violation] = []

    init(schema: JSONSchema, hash: @escaping (String) -> String, digest: DigestShape) {
        self.schema = schema
        self.hash = hash
        self.digest = digest
    }

    mutating func minimise(_ members: [String: JSON]) -> [String: JSON] {
        guard !schema.personalNodes.isEmpty else { return members }
        return minimise(members, schema.personalRoot, [])
    }

    private mutating func minimise(
        _ members: [String: JSON], _ applicable: JSONSchema.Applicable, _ path: [String]
    ) -> [String: JSON] {
        guard !applicable.all.isEmpty else { return members }
        var result = members
        for name in members.keys.sorted(by: { $0.precedesInUTF8($1) }) {
            guard let value = members[name] else { continue }
            let below = schema.applicable(applicable, toMember: name)
            if !below.all.isEmpty { result[name] = minimised(value, below, path + [name]) }
        }
        return result
    }

    /// The value that takes the place of another; nil for none.
    private mutating func minimised(
        _ value: JSON, _ applicable: JSONSchema.Applicable, _ path: [String]
    ) -> JSON? {
        switch (schema.treatment(applicable), value) {
        case (.drop, _):
            record(.drop, value, applicable, path)
            return nil
        case (.hash, .null): return value
        case (.hash, .string(let text)) where digest.matches(text): return value
        case (.hash, _):
            record(.hash, value, applicable, path)
            return .string(DigestShape.prefix + hash(value.string ?? value.compact))
        case (nil, .object(let members)): return .object(minimise(members, applicable, path))
        case (nil, .array(let elements)):
            return .array(
                elements.enumerated().map { index, element in
                    let below = schema.applicable(applicable, toElement: index)
                    if below.all.isEmpty { return element }
                    // An element that was dropped before is not dropped again.
                    if element.isNull { return element }
                    return minimised(element, below, path + ["\(index)"]) ?? .null
                })
        case (nil, _): return value
        }
    }

    private mutating func record(
        _ treatment: PersonalTreatment, _ value: JSON, _ applicable: JSONSchema.Applicable, _ path: [String]
    ) {
        treated.append(.init(pointer: JSONPointer(path), treatment: treatment))
        for subschema in applicable.certain where violations.count < SchemaLimits.violations {
            var evaluation = SchemaEvaluation(schema: schema, root: value)
            // The first is enough: it is reported for the whole value, of which nothing is left to point at.
            guard let violation = evaluation.violations(of: subschema, limit: 1).first else { continue }
            violations.append(Violation(JSONPointer(path), violation.keyword, violation.detail))
            break
        }
    }
}
