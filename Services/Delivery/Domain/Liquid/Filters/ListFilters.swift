extension LiquidFilter {
    static let listFilters: [String: LiquidFilter] = [
        "size": LiquidFilter { (value, _) throws(LiquidProblem) in
            let size = value.member("size")
            return size.isNull ? .integer(0) : size
        },
        "first": LiquidFilter { (value, _) throws(LiquidProblem) in
            value.string.map { .string(String($0.prefix(1))) } ?? value.member("first")
        },
        "last": LiquidFilter { (value, _) throws(LiquidProblem) in
            value.string.map { .string(String($0.suffix(1))) } ?? value.member("last")
        },
        "join": LiquidFilter(0...1) { (value, arguments) throws(LiquidProblem) in
            let limits = arguments.environment.limits
            let separator = arguments[0]?.text ?? " "
            var result = ""
            for (index, item) in try value.items(limit: limits.items).enumerated() {
                if index > 0 { result += separator }
                result += item.text
                guard result.utf8.count <= limits.outputBytes else {
                    throw LiquidProblem(
                        message: "the text grows too long", expected: "at most \(limits.outputBytes) bytes")
                }
            }
            return .string(result)
        },
        "reverse": list { (items, _) throws(LiquidProblem) in items.reversed() },
        "concat": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            let limit = arguments.environment.limits.items
            switch arguments[0] {
            case .array, .range: break
            default: throw LiquidProblem(message: "the argument of concat is no list", expected: "a list")
            }
            return .array(try value.items(limit: limit) + (arguments[0]?.items(limit: limit) ?? []))
        },
        "compact": list(0...1) { (items, arguments) throws(LiquidProblem) in
            items.filter { !property($0, arguments[0]).isNull }
        },
        "uniq": list(0...1) { (items, arguments) throws(LiquidProblem) in
            var seen: Set<LiquidValue> = []
            return items.filter { seen.insert(property($0, arguments[0])).inserted }
        },
        "sort": list(0...1) { (items, arguments) throws(LiquidProblem) in
            try sorted(items.map { (property($0, arguments[0]), $0) })
        },
        "sort_natural": list(0...1) { (items, arguments) throws(LiquidProblem) in
            try sorted(
                items.map { item in
                    let key = property(item, arguments[0])
                    return (key.isNull ? .null : .string(key.text.lowercased()), item)
                })
        },
        "sum": LiquidFilter(0...1) { (value, arguments) throws(LiquidProblem) in
            var sum = LiquidNumber.integer(0)
            for item in flattened(try value.items(limit: arguments.environment.limits.items)) {
                if let name = arguments[0], !name.isNull { try requireObject(item, for: name.text) }
                sum = sum + LiquidNumber(property(item, arguments[0]))
            }
            return sum.value
        },
        "map": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            var result: [LiquidValue] = []
            for item in flattened(try value.items(limit: arguments.environment.limits.items)) {
                try requireObject(item, for: arguments.text(0))
                result.append(property(item, arguments[0]))
            }
            return .array(result)
        },
    ]

    /// A filter from a list to a list; a single value is a list of one, and nothing stays nothing.
    private static func list(
        _ arguments: ClosedRange<Int> = 0...0,
        _ body: @escaping @Sendable ([LiquidValue], LiquidArguments) throws(LiquidProblem) -> [LiquidValue]
    ) -> LiquidFilter {
        LiquidFilter(arguments) { (value, arguments) throws(LiquidProblem) in
            .array(try body(try value.items(limit: arguments.environment.limits.items), arguments))
        }
    }

    /// The property an argument names, or the item itself when none is named.
    private static func property(_ item: LiquidValue, _ name: LiquidValue?) -> LiquidValue {
        guard let name, !name.isNull else { return item }
        if case .object(let members) = item { return members[name.text].map(LiquidValue.init) ?? .null }
        return .null
    }

    private static func requireObject(_ item: LiquidValue, for name: String) throws(LiquidProblem) {
        guard case .object = item else {
            throw LiquidProblem(
                message: "\(item.kind) has no property “\(name)”", expected: "a list of objects")
        }
    }

    private static func flattened(_ items: [LiquidValue]) -> [LiquidValue] {
        items.flatMap { item in
            if case .array(let inner) = item { flattened(inner) } else { [item] }
        }
    }

    /// A stable merge sort by key: `sorted(by:)` can't stop at two keys that have no order.
    private static func sorted(_ items: [(key: LiquidValue, item: LiquidValue)]) throws(LiquidProblem)
        -> [LiquidValue]
    {
        var runs = items.map { [$0] }
        while runs.count > 1 {
            var merged: [[(key: LiquidValue, item: LiquidValue)]] = []
            for start in stride(from: 0, to: runs.count, by: 2) {
                merged.append(start + 1 < runs.count ? try merge(runs[start], runs[start + 1]) : runs[start])
            }
            runs = merged
        }
        return runs.first?.map(\.item) ?? []
    }

    private static func merge(
        _ left: [(key: LiquidValue, item: LiquidValue)], _ right: [(key: LiquidValue, item: LiquidValue)]
    ) throws(LiquidProblem) -> [(key: LiquidValue, item: LiquidValue)] {
        var result: [(key: LiquidValue, item: LiquidValue)] = []
        result.reserveCapacity(left.count + right.count)
        var (i, j) = (0, 0)
        while i < left.count, j < right.count {
            if try isBefore(right[j].key, left[i].key) {
                result.append(right[j])
                j += 1
            } else {
                result.append(left[i])
                i += 1
            }
        }
        return result + left[i...] + right[j...]
    }

    /// What has no key comes last.
    private static func isBefore(_ left: LiquidValue, _ right: LiquidValue) throws(LiquidProblem) -> Bool {
        if left.isNull || right.isNull { return !left.isNull }
        return try left.compare(right) == .before
    }
}
