package import Models

/// What a member of a call is made of.
package struct MappingValue: Hashable, Sendable {
    package indirect enum Source: Hashable, Sendable {
        case constant(JSON)
        /// From the record; inside of `each` from the element.
        case path(MappingPath)
        /// From the record, also inside of `each`.
        case root(MappingPath)
        /// From what the sender says around the record.
        case meta(MappingPath)
        /// One object for each element of an array.
        case each(MappingPath, [Member])
        case object([Member])
        /// The first that is there.
        case firstOf([MappingValue])
    }

    /// A member of an object that is made.
    package struct Member: Hashable, Sendable {
        package var name: String
        package var value: MappingValue

        package init(name: String, value: MappingValue) {
            self.name = name
            self.value = value
        }
    }

    package var source: Source
    package var conversion: MappingConversion?
    /// Put before the text.
    package var prefix: String?
    /// Stands in where there is nothing, or nothing that converts.
    package var fallback: JSON?

    package init(
        _ source: Source, conversion: MappingConversion? = nil, prefix: String? = nil, fallback: JSON? = nil
    ) {
        self.source = source
        self.conversion = conversion
        self.prefix = prefix
        self.fallback = fallback
    }
}

/// Why a record gives no item by a rule.
package struct MappingFailure: Error, Hashable, Sendable {
    /// The member of the rule that it is about, such as `properties.total`.
    package var member: String
    package var expected: String

    package init(member: String, expected: String) {
        self.member = member
        self.expected = expected
    }

    /// One clause for people. It names places, never what stands there.
    package var reason: String { "\(member) must be \(expected)" }
}

extension MappingValue {
    /// What values are taken from.
    struct Scope {
        var here: JSON
        let record: InboundRecord
    }

    /// The value for a record; nil where there is none.
    func json(in scope: Scope, member: String) throws(MappingFailure) -> JSON? {
        guard let found = try sourced(in: scope, member: member) else { return fallback }
        // Each element of a list is converted, so that `tags[]` can be.
        guard isList, let elements = found.array else {
            return try finished(found, in: scope, member: member)
        }
        var result: [JSON] = []
        for (index, element) in elements.enumerated() {
            guard let value = try finished(element, in: scope, member: "\(member).\(index)") else { continue }
            result.append(value)
        }
        return .array(result)
    }

    /// One value, converted and with its prefix.
    private func finished(_ value: JSON, in scope: Scope, member: String) throws(MappingFailure) -> JSON? {
        var value = value
        if let conversion {
            guard let converted = try conversion.apply(value, in: scope, member: member) else {
                if let fallback { return fallback }
                throw MappingFailure(member: member, expected: conversion.expectation)
            }
            value = converted
        }
        guard let prefix else { return value }
        if let text = value.string, text.trimmed.isEmpty { return fallback }
        guard let text = value.identifierText else {
            throw MappingFailure(
                member: member, expected: "a text or a whole number to put “\(prefix)” before")
        }
        return .string(prefix + text)
    }

    private var isList: Bool {
        switch source {
        case .path(let path), .root(let path), .meta(let path): path.isList
        default: false
        }
    }

    private func sourced(in scope: Scope, member: String) throws(MappingFailure) -> JSON? {
        switch source {
        case .constant(let value): return value
        case .path(let path): return path.value(in: scope.here)
        case .root(let path): return path.value(in: scope.record.object)
        case .meta(let path): return path.value(in: .object(scope.record.meta))
        case .object(let members):
            let object = try Self.object(members, in: scope, member: member)
            return object.isEmpty ? nil : .object(object)
        case .each(let path, let members):
            guard let value = path.value(in: scope.here) else { return nil }
            guard let elements = value.array else {
                throw MappingFailure(member: member, expected: "made of a list")
            }
            var result: [JSON] = []
            for (index, element) in elements.enumerated() {
                let inner = Scope(here: element, record: scope.record)
                result.append(.object(try Self.object(members, in: inner, member: "\(member).\(index)")))
            }
            return .array(result)
        case .firstOf(let values):
            for value in values {
                if let found = try value.json(in: scope, member: member) { return found }
            }
            return nil
        }
    }

    /// The members that there is something for.
    static func object(
        _ members: [Member], in scope: Scope, member: String
    ) throws(MappingFailure) -> [String: JSON] {
        var object: [String: JSON] = [:]
        for part in members {
            object[part.name] = try part.value.json(in: scope, member: "\(member).\(part.name)")
        }
        return object
    }
}
