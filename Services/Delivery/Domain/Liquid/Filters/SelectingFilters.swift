extension LiquidFilter {
    static let selectingFilters: [String: LiquidFilter] = [
        "where": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            try matches(value, arguments).map { found in .array(found.filter(\.isMatch).map(\.item)) }
                ?? .null
        },
        "reject": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            try matches(value, arguments).map { found in .array(found.filter { !$0.isMatch }.map(\.item)) }
                ?? .null
        },
        "find": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            try matches(value, arguments)?.first(where: \.isMatch)?.item ?? .null
        },
        "find_index": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            try matches(value, arguments)?.firstIndex(where: \.isMatch).map { .integer(Int64($0)) } ?? .null
        },
        "has": LiquidFilter(1...2) { (value, arguments) throws(LiquidProblem) in
            try matches(value, arguments).map { found in .bool(found.contains(where: \.isMatch)) } ?? .null
        },
    ]

    /// Which items have the property, or the property with the value; nil when an item is nil.
    private static func matches(
        _ value: LiquidValue, _ arguments: LiquidArguments
    ) throws(LiquidProblem) -> [(item: LiquidValue, isMatch: Bool)]? {
        let wanted = arguments[1].flatMap { $0.isNull ? nil : $0 }
        guard let name = arguments[0] else { return nil }
        var result: [(item: LiquidValue, isMatch: Bool)] = []
        for item in try value.items(limit: arguments.environment.limits.items) {
            switch item {
            case .null: return nil
            case .object(let members):
                let property = members[name.text].map(LiquidValue.init) ?? .null
                result.append((item, wanted.map(property.isEqual) ?? property.isTrue))
            case .string(let text), .markup(let text):
                result.append((item, wanted == nil && !name.isNull && text.liquidContains(name.text)))
            case .integer:
                guard case .integer = name else {
                    throw LiquidProblem(
                        message: "a number has no property “\(name.text)”", expected: "objects")
                }
                result.append((item, wanted == nil && item == name))
            default: result.append((item, false))
            }
        }
        return result
    }
}
