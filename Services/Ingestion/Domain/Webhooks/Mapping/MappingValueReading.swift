import Models

extension MappingValue {
    static let pathExpectation = "a path such as `customer.id`, `line_items[].sku` or `.`"
    /// Deeper than any call that a person would write.
    private static let maxDepth = 12
    private static let sources = ["path", "root", "meta", "constant", "each", "object", "firstOf"]

    /// Reads a value: a text, number or truth value stands for itself, an object says where it comes from.
    init?(_ value: JSON, _ path: String, _ log: MappingLog, depth: Int = 0) {
        if let constant = value.scalar {
            self.init(.constant(constant))
            return
        }
        let expected = "a constant, or one of \(Self.sources.map { "`\($0)`" }.joined(separator: ", "))"
        guard depth < Self.maxDepth else {
            log.report(path, expected: "values nested at most \(Self.maxDepth) deep", found: "more")
            return nil
        }
        guard var reader = MappingReader(value, path, log, expected: expected) else { return nil }
        let written = Self.sources.compactMap { key in reader.optional(key).map { (key: key, value: $0) } }
        let source: Source?
        if let (key, value) = written.first, written.count == 1 {
            source = Self.source(key, value, &reader, depth)
        } else {
            log.report(
                path, expected: expected,
                found: written.isEmpty
                    ? "none of them" : written.map { "`\($0.key)`" }.joined(separator: " and "))
            source = nil
        }
        let conversion = MappingConversion.read(&reader, depth)
        let prefix = reader.optionalText("prefix", expected: "a text to put before the value")
        let fallback = reader.optional("default")
        reader.finish()
        guard let source else { return nil }
        self.init(source, conversion: conversion, prefix: prefix, fallback: fallback)
    }

    private static func source(
        _ key: String, _ value: JSON, _ reader: inout MappingReader, _ depth: Int
    ) -> Source? {
        switch key {
        case "constant": return .constant(value)
        case "path": return path(value, key, reader).map { .path($0) }
        case "root": return path(value, key, reader).map { .root($0) }
        case "meta": return path(value, key, reader).map { .meta($0) }
        case "each":
            let members = members("map", &reader, depth)
            guard !members.isEmpty else {
                reader.log.report(
                    reader.path, expected: "`map`: what to make of each element", found: "no `map`")
                return nil
            }
            return path(value, key, reader).map { .each($0, members) }
        case "object": return .object(members("object", &reader, depth))
        default:
            guard let values = value.array, !values.isEmpty else {
                reader.log.report(value, reader.path(to: key), expected: "a list of values")
                return nil
            }
            return .firstOf(
                values.enumerated().compactMap { index, value in
                    MappingValue(value, "\(reader.path(to: key)).\(index)", reader.log, depth: depth + 1)
                })
        }
    }

    private static func path(_ value: JSON, _ key: String, _ reader: MappingReader) -> MappingPath? {
        if let path = value.string.flatMap(MappingPath.init) { return path }
        reader.log.report(value, reader.path(to: key), expected: pathExpectation)
        return nil
    }

    /// Reads the members of an object that is to be made.
    static func members(_ key: String, _ reader: inout MappingReader, _ depth: Int) -> [Member] {
        let log = reader.log
        return reader.optionalMembers(key, expected: "an object of names and values").compactMap {
            name, value, path in
            MappingValue(value, path, log, depth: depth + 1).map { Member(name: name, value: $0) }
        }
    }
}

extension MappingConversion {
    static func read(_ reader: inout MappingReader, _ depth: Int) -> MappingConversion? {
        let currency = reader.optional("currency")
        guard let written = reader.optional("as") else {
            if let currency {
                reader.log.report(
                    currency, reader.path(to: "currency"), expected: "`as: minorUnits` beside it")
            }
            return nil
        }
        switch written.string {
        case "money": return .money
        case "integer": return .integer
        case "number": return .number
        case "string": return .string
        case "lowercase": return .lowercase
        case "uppercase": return .uppercase
        case "bool": return .bool
        case "time": return .time
        case "timeSeconds": return .timeSeconds
        case "timeMillis": return .timeMillis
        case "minorUnits":
            guard let currency else {
                reader.log.report(
                    reader.path, expected: "`currency`: where the code of the currency is",
                    found: "no `currency`")
                return nil
            }
            return MappingValue(currency, reader.path(to: "currency"), reader.log, depth: depth + 1)
                .map { .minorUnits(currency: $0) }
        default:
            reader.log.report(
                written, reader.path(to: "as"),
                expected: "one of \(names.map { "`\($0)`" }.joined(separator: ", "))")
            return nil
        }
    }
}
