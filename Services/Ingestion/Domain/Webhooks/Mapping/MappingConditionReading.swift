import Models

extension MappingCondition {
    private static let tests = [
        "equals", "notEquals", "in", "notIn", "contains", "exists", "atLeast", "moreThan", "atMost",
        "lessThan",
    ]

    /// Reads `{type: orders/*, where: [{path: financial_status, equals: paid}]}`.
    init?(_ value: JSON, _ path: String, _ log: MappingLog) {
        guard var reader = MappingReader(value, path, log, expected: "a condition `{type: …, where: […]}`")
        else {
            return nil
        }
        let types = reader.texts(
            "type", expected: "a type of the provider, or a list of them; `*` fits any text")
        var filters: [Filter] = []
        for (value, path) in reader.optionalList(
            "where", expected: "a list of conditions `{path: …, equals: …}`")
        {
            if let filter = Self.filter(value, path, log) { filters.append(filter) }
        }
        reader.finish()
        guard let types, !types.isEmpty else { return nil }
        self.init(types: types, filters: filters)
    }

    private static func filter(_ value: JSON, _ path: String, _ log: MappingLog) -> Filter? {
        guard var reader = MappingReader(value, path, log, expected: "a condition `{path: …, equals: …}`")
        else {
            return nil
        }
        let place = place(&reader)
        let test = test(&reader)
        reader.finish()
        guard let place, let test else { return nil }
        return Filter(place: place, test: test)
    }

    private static func place(_ reader: inout MappingReader) -> Place? {
        let path = reader.optional("path")
        let meta = reader.optional("meta")
        guard let (key, written) = path.map({ ("path", $0) }) ?? meta.map({ ("meta", $0) }),
            path == nil || meta == nil
        else {
            reader.log.report(
                reader.path, expected: "either `path` or `meta`", found: path == nil ? "neither" : "both")
            return nil
        }
        guard let place = written.string.flatMap(MappingPath.init) else {
            reader.log.report(written, reader.path(to: key), expected: MappingValue.pathExpectation)
            return nil
        }
        return key == "path" ? .path(place) : .meta(place)
    }

    private static func test(_ reader: inout MappingReader) -> Test? {
        let written = tests.compactMap { key in reader.optional(key).map { (key: key, value: $0) } }
        guard let (key, value) = written.first, written.count == 1 else {
            reader.log.report(
                reader.path, expected: "one of \(tests.map { "`\($0)`" }.joined(separator: ", "))",
                found: written.isEmpty ? "none" : written.map { "`\($0.key)`" }.joined(separator: " and "))
            return nil
        }
        if let test = test(key, value) { return test }
        reader.log.report(value, reader.path(to: key), expected: operand(of: key))
        return nil
    }

    private static func test(_ key: String, _ value: JSON) -> Test? {
        switch key {
        case "equals": value.scalar.map { .equals($0) }
        case "notEquals": value.scalar.map { .notEquals($0) }
        case "in": scalars(value).map { .isIn($0) }
        case "notIn": scalars(value).map { .notIn($0) }
        case "contains": value.string.map { .contains($0) }
        case "exists": value.bool.map { .exists($0) }
        case "atLeast": value.number.map { .atLeast($0) }
        case "moreThan": value.number.map { .moreThan($0) }
        case "atMost": value.number.map { .atMost($0) }
        default: value.number.map { .lessThan($0) }
        }
    }

    private static func scalars(_ value: JSON) -> [JSON]? {
        guard let values = value.array, (1...1000).contains(values.count) else { return nil }
        let scalars = values.compactMap(\.scalar)
        return scalars.count == values.count ? scalars : nil
    }

    private static func operand(of key: String) -> String {
        switch key {
        case "equals", "notEquals": "a text, a number or true/false"
        case "in", "notIn": "a list of texts, numbers or true/false"
        case "contains": "a text"
        case "exists": "true or false"
        default: "a number"
        }
    }
}

extension JSON {
    /// A text, a number or a truth value.
    var scalar: JSON? {
        switch self {
        case .array, .object, .null: nil
        default: self
        }
    }
}
