package import Models

/// Which records a rule is for: by type, narrowed by what they hold.
package struct MappingCondition: Hashable, Sendable {
    /// One test of a value. Of several values at a path one that passes is enough, but `notEquals`, `notIn` and
    /// `exists: false` ask it of all.
    package struct Filter: Hashable, Sendable {
        package var place: Place
        package var test: Test
    }

    /// Where a value stands.
    package enum Place: Hashable, Sendable {
        case path(MappingPath)
        case meta(MappingPath)
    }

    package enum Test: Hashable, Sendable {
        case equals(JSON)
        case notEquals(JSON)
        case isIn([JSON])
        case notIn([JSON])
        case contains(String)
        case exists(Bool)
        case atLeast(Double)
        case moreThan(Double)
        case atMost(Double)
        case lessThan(Double)
    }

    /// Types, in which `*` stands for any text.
    package var types: [String]
    package var filters: [Filter]

    package func matches(_ record: InboundRecord) -> Bool {
        types.contains { Self.fits(record.type, pattern: $0) }
            && filters.allSatisfy { filter in
                switch filter.place {
                case .path(let path): filter.test.passes(path.values(in: record.object))
                case .meta(let path): filter.test.passes(path.values(in: .object(record.meta)))
                }
            }
    }

    /// Whether a text fits a pattern with `*` in it. Linear in text times stars, whatever the pattern.
    static func fits(_ text: String, pattern: String) -> Bool {
        let parts = pattern.split(separator: "*", omittingEmptySubsequences: false)
        guard let first = parts.first, let last = parts.last, parts.count > 1 else { return text == pattern }
        guard text.hasPrefix(first), text.utf8.count >= first.utf8.count + last.utf8.count,
            text.hasSuffix(last)
        else { return false }
        var rest = text.dropFirst(first.count).dropLast(last.count)
        for part in parts.dropFirst().dropLast() where !part.isEmpty {
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return true
    }
}

extension MappingCondition.Test {
    func passes(_ values: [JSON]) -> Bool {
        switch self {
        case .equals(let wanted): values.contains { Self.same($0, wanted) }
        case .notEquals(let wanted): !values.contains { Self.same($0, wanted) }
        case .isIn(let wanted): values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .notIn(let wanted): !values.contains { value in wanted.contains { Self.same(value, $0) } }
        case .contains(let part):
            values.contains { value in
                value.array.map { $0.contains { Self.same($0, .string(part)) } }
                    ?? value.string.map { $0.contains(part) } ?? false
            }
        case .exists(let wanted): values.isEmpty != wanted
        case .atLeast(let bound): values.contains { Self.number($0).map { $0 >= bound } ?? false }
        case .moreThan(let bound): values.contains { Self.number($0).map { $0 > bound } ?? false }
        case .atMost(let bound): values.contains { Self.number($0).map { $0 <= bound } ?? false }
        case .lessThan(let bound): values.contains { Self.number($0).map { $0 < bound } ?? false }
        }
    }

    /// Shops send numbers as decimal strings, and XML has nothing else; both count as the number.
    private static func number(_ value: JSON) -> Double? {
        value.number ?? value.string.flatMap { Double($0) }
    }

    private static func same(_ value: JSON, _ wanted: JSON) -> Bool {
        if let wanted = wanted.number { return number(value) == wanted }
        return value == wanted
    }
}
