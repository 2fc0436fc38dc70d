package import Models

/// A test of an event's properties.
package indirect enum PropertyFilter: Hashable, Sendable {
    /// A property compared: `{"property": "products[].category", "equals": "Shoes"}`.
    case property(PropertyPath, Comparison)
    /// Some element of a list that passes several tests at once:
    /// `{"any": "products[]", "where": [{"property": "sku", "equals": "a"}, {"property": "price", "atLeast": 10}]}`.
    case element(PropertyPath, [PropertyFilter])

    package init(_ field: RuleField) throws(RuleProblem) {
        self = try Self.read(field, depth: 1)
    }

    /// The filters of a member `where`; none if it is absent.
    static func list(_ field: RuleField?, depth: Int = 1) throws(RuleProblem) -> [PropertyFilter] {
        guard let field else { return [] }
        var filters: [PropertyFilter] = []
        for element in try field.elements((depth == 1 ? 0 : 1)...RuleLimits.filters, of: "filters") {
            filters.append(try read(element, depth: depth))
        }
        return filters
    }

    private static func read(_ field: RuleField, depth: Int) throws(RuleProblem) -> PropertyFilter {
        guard let any = field.optional("any") else {
            try field.allow(["property"] + Comparison.members)
            let path = try PropertyPath(field.required("property", "the property to test"))
            return .property(path, try Comparison(in: field))
        }
        try field.allow(["any", "where"])
        guard depth <= RuleLimits.filterDepth else {
            throw field.problem("at most \(RuleLimits.filterDepth) lists within each other")
        }
        let path = try PropertyPath(any)
        guard path.steps.last == .eachElement else { throw any.problem("a list such as products[]") }
        let filters = try list(try field.required("where", "a list of filters"), depth: depth + 1)
        return .element(path, filters)
    }

    /// Whether its truth changes with time.
    var isTimed: Bool {
        switch self {
        case .property(_, let comparison): comparison.isTimed
        case .element(_, let filters): filters.contains { $0.isTimed }
        }
    }

    /// When it is true of these properties.
    package func spans(in properties: [String: JSON]) -> Spans {
        switch self {
        case .property(let path, let comparison): comparison.spans(for: path.values(in: properties))
        case .element(let path, let filters):
            path.values(in: properties).reduce(.never) { spans, element in
                guard let members = element.object, !spans.isAlways else { return spans }
                return spans.union(Self.spans(of: filters, in: members))
            }
        }
    }

    /// When all of the filters are true.
    static func spans(of filters: [PropertyFilter], in properties: [String: JSON]) -> Spans {
        filters.reduce(.always) { $0.isNever ? $0 : $0.intersection($1.spans(in: properties)) }
    }

    /// Whether a filter whose truth does not change with time is true of these properties.
    package func holds(for properties: [String: JSON]) -> Bool {
        switch self {
        case .property(let path, let comparison): comparison.holds(for: path.values(in: properties))
        case .element(let path, let filters):
            path.values(in: properties).contains { element in
                guard let members = element.object else { return false }
                return filters.allSatisfy { $0.holds(for: members) }
            }
        }
    }

    package var json: JSON {
        switch self {
        case .property(let path, let comparison):
            .object(comparison.members.merging(["property": .string(path.text)]) { $1 })
        case .element(let path, let filters):
            ["any": .string(path.text), "where": .array(filters.map(\.json))]
        }
    }

    package var text: String {
        switch self {
        case .property(let path, let comparison): "\(path.words) \(comparison.text)"
        case .element(let path, let filters):
            "any \(path.words) with (\(filters.map(\.text).joined(separator: " and ")))"
        }
    }
}
