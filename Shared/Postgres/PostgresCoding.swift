package import FoundationEssentials
import Models

/// A value that can be bound to a statement. Parameters travel as text and without a type: the server infers it
/// from the place, so write a cast (`\(ids)::uuid[]`) where the place doesn't say.
package protocol PostgresEncodable: Sendable {
    /// PostgreSQL's text form; nil is NULL.
    var postgresText: String? { get }
    /// The text form of an array of such values. `UInt8` overrides it, so that `[UInt8]` is a `bytea`.
    static func postgresArrayText(_ elements: [Self]) -> String
}

extension PostgresEncodable {
    package static func postgresArrayText(_ elements: [Self]) -> String {
        ArrayLiteral.text(elements.lazy.map(\.postgresText))
    }
}

/// A value that can be read from a column.
package protocol PostgresDecodable {
    /// Reads PostgreSQL's text form; throws `PostgresDecodingFailure` when it isn't one of this type.
    init(postgresText: String) throws
    /// Reads a column that may be NULL. Only `Optional` accepts NULL.
    static func decode(postgresText: String?) throws -> Self
    /// Reads the text form of an array.
    static func decodeArray(postgresText: String) throws -> [Self]
}

/// Why a column's text could not be read; never carries the text itself.
package struct PostgresDecodingFailure: Error {
    package var message: String

    package init(_ message: String) {
        self.message = message
    }
}

extension PostgresDecodable {
    package static func decode(postgresText: String?) throws -> Self {
        guard let postgresText else { throw PostgresDecodingFailure("is NULL, expected \(Self.self)") }
        return try Self(postgresText: postgresText)
    }

    package static func decodeArray(postgresText: String) throws -> [Self] {
        try ArrayLiteral.elements(of: postgresText).map { try Self.decode(postgresText: $0) }
    }
}

extension String: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { self }
    package init(postgresText: String) { self = postgresText }
}

extension Bool: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { self ? "t" : "f" }
    package init(postgresText: String) throws {
        switch postgresText {
        case "t", "true": self = true
        case "f", "false": self = false
        default: throw PostgresDecodingFailure("is no boolean")
        }
    }
}

extension FixedWidthInteger where Self: PostgresEncodable {
    package var postgresText: String? { String(self) }
}

extension FixedWidthInteger where Self: PostgresDecodable {
    package init(postgresText: String) throws {
        guard let value = Self(postgresText) else { throw PostgresDecodingFailure("is no \(Self.self)") }
        self = value
    }
}

extension Int: PostgresEncodable, PostgresDecodable {}
extension Int16: PostgresEncodable, PostgresDecodable {}
extension Int32: PostgresEncodable, PostgresDecodable {}
extension Int64: PostgresEncodable, PostgresDecodable {}

extension UInt8: PostgresEncodable, PostgresDecodable {
    package static func postgresArrayText(_ elements: [UInt8]) -> String { Hex.bytea(elements) }
    package static func decodeArray(postgresText: String) throws -> [UInt8] {
        try Hex.bytes(bytea: postgresText)
    }
}

extension Double: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        return description
    }

    package init(postgresText: String) throws {
        guard let value = Double(postgresText) else { throw PostgresDecodingFailure("is no Double") }
        self = value
    }
}

extension Decimal: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { description }

    package init(postgresText: String) throws {
        // `Decimal(string:)` reads a prefix and ignores the rest, so the form is checked first.
        let isNumber = postgresText.wholeMatch(of: /-?[0-9]+(\.[0-9]+)?/) != nil
        guard isNumber, let value = Decimal(string: postgresText) else {
            throw PostgresDecodingFailure("is no decimal")
        }
        self = value
    }
}

extension UUID: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { hyphenated }

    package init(postgresText: String) throws {
        guard let value = UUID(hyphenated: postgresText) else { throw PostgresDecodingFailure("is no uuid") }
        self = value
    }
}

extension Data: PostgresEncodable, PostgresDecodable {
    package var postgresText: String? { Hex.bytea(self) }
    package init(postgresText: String) throws { self = Data(try Hex.bytes(bytea: postgresText)) }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    package var postgresText: String? { self?.postgresText }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    package init(postgresText: String) throws { self = try Wrapped(postgresText: postgresText) }

    package static func decode(postgresText: String?) throws -> Self {
        guard let postgresText else { return nil }
        return try Wrapped(postgresText: postgresText)
    }
}

extension Array: PostgresEncodable where Element: PostgresEncodable {
    package var postgresText: String? { Element.postgresArrayText(self) }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    package init(postgresText: String) throws {
        self = try Element.decodeArray(postgresText: postgresText)
    }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    package var postgresText: String? { rawValue.postgresText }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    package init(postgresText: String) throws {
        guard let value = Self(rawValue: try RawValue(postgresText: postgresText)) else {
            throw PostgresDecodingFailure("is no \(Self.self)")
        }
        self = value
    }
}
