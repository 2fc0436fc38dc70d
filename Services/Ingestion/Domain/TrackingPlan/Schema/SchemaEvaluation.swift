import Models

/// One evaluation of a schema. It takes a bounded number of steps, whatever the schema and the value.
struct SchemaEvaluation {
    let schema: JSONSchema
    /// The whole value.
    let root: JSON
    /// How hashed values look, where what a plan has hashed or dropped before is not held against the value.
    var digest: DigestShape?

    private var found: [Violation] = []
    private var limit = 0
    private var path: [String] = []
    private var stepsLeft = SchemaLimits.evaluationSteps
    private var isExhausted = false
    private var depth = 0
    /// Above 0 while it is tried whether a value conforms, without reporting why not.
    private var probes = 0

    init(schema: JSONSchema, root: JSON, digest: DigestShape? = nil) {
        self.schema = schema
        self.root = root
        self.digest = digest
    }

    /// What the whole value does against the schema, or against one of its subschemas.
    mutating func violations(of subschema: Int = 0, limit: Int) -> [Violation] {
        self.limit = limit
        _ = check(subschema, root)
        guard isExhausted else { return found }
        return found + [Violation(JSONPointer(), Violation.budget, "is too costly to check")]
    }

    /// Whether enough is known: nobody asks for further violations.
    var mayStop: Bool { probes > 0 || isExhausted || found.count >= limit }

    /// Takes steps off what is left; false when there are not enough.
    mutating func spend(_ steps: Int) -> Bool {
        stepsLeft -= steps
        if stepsLeft < 0 { isExhausted = true }
        return !isExhausted
    }

    /// Reports a violation here; always false.
    mutating func fail(_ keyword: String, _ detail: String) -> Bool {
        if !mayStop { found.append(Violation(JSONPointer(path), keyword, detail)) }
        return false
    }

    /// Whether text matches a pattern; nil when it takes too many steps.
    mutating func match(_ pattern: TextPattern, _ text: String) -> Bool? {
        let matches = pattern.matches(text, steps: &stepsLeft)
        if matches == nil { isExhausted = true }
        return matches
    }

    /// Checks a member or an element.
    mutating func check(_ index: Int, _ value: JSON, below token: String, as keyword: String) -> Bool {
        path.append(token)
        defer { path.removeLast() }
        return check(index, value, as: keyword)
    }

    /// Whether a value conforms, without a report.
    mutating func probe(_ index: Int, _ value: JSON) -> Bool {
        probes += 1
        defer { probes -= 1 }
        return check(index, value)
    }

    /// Checks a value that stands where the evaluation is.
    mutating func check(_ index: Int, _ value: JSON, as keyword: String = "false") -> Bool {
        guard depth < SchemaLimits.evaluationDepth, spend(5) else {
            isExhausted = true
            return false
        }
        depth += 1
        defer { depth -= 1 }
        if isExempt(value) { return true }
        let node = schema.nodes[index]
        if node.isNever {
            let isExtra = keyword == "additionalProperties"
            return fail(
                keyword, isExtra ? "is not among the properties that are stated" : "must not be there")
        }
        var isValid = true
        if let types = node.types, types.isDisjoint(with: JSONTypes(of: value)) {
            isValid = fail("type", "must be \(types.words), found \(value.kind)")
        }
        // What is of the wrong type cannot be wrong in another way that is worth a sentence.
        if !isValid { return false }
        if let rules = node.values, !rules.check(value, &self) { isValid = false }
        if let rules = node.numbers, !rules.check(value, &self) { isValid = false }
        if !isValid, mayStop { return false }
        if let rules = node.text, !rules.check(value, &self) { isValid = false }
        if let rules = node.arrays, !rules.check(value, &self) { isValid = false }
        if !isValid, mayStop { return false }
        if let rules = node.objects, !rules.check(value, &self) { isValid = false }
        if !isValid, mayStop { return false }
        if let rules = node.combined, !rules.check(value, &self) { isValid = false }
        return isValid
    }
}

// MARK: - What a plan has hashed or dropped before

extension SchemaEvaluation {
    /// Whether a member may be missing because it is dropped before anything is stored.
    mutating func isDropped(_ name: String) -> Bool {
        guard digest != nil, !schema.personalNodes.isEmpty, spend(16 * (path.count + 1)) else { return false }
        return schema.treatment(at: path + [name], in: root) == .drop
    }

    /// Whether a value stands in for one that was hashed, or for a dropped element of an array.
    private mutating func isExempt(_ value: JSON) -> Bool {
        guard let digest, !path.isEmpty, !schema.personalNodes.isEmpty else { return false }
        switch value {
        case .null:
            guard spend(16 * path.count) else { return false }
            return schema.treatment(at: path, in: root) == .drop
        case .string(let text):
            guard digest.matches(text), spend(16 * path.count) else { return false }
            return schema.treatment(at: path, in: root) == .hash
        default: return false
        }
    }
}
