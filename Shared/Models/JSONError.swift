/// Why a text is no JSON that Martlet takes, and where.
package struct JSONError: Error, Hashable, Sendable {
    /// What is wrong.
    package enum Kind: String, Sendable {
        /// The text breaks the grammar of RFC 8259.
        case syntax
        /// Arrays and objects are nested deeper than the limit.
        case tooDeep
        /// `\u0000`, which PostgreSQL's jsonb and text cannot hold.
        case nul
        /// Half of a surrogate pair, which no UTF-8 text can hold.
        case loneSurrogate
        /// A number too large for a Double.
        case numberRange
        /// Bytes that are not UTF-8.
        case invalidUTF8
        /// Something follows the value.
        case trailingContent
    }

    package var kind: Kind
    /// Bytes from the start of the text.
    package var offset: Int
    /// One clause for people, such as "expected a value, found ','".
    package var message: String

    package init(_ kind: Kind, at offset: Int, _ message: String) {
        self.kind = kind
        self.offset = offset
        self.message = message
    }
}

extension JSONError: CustomStringConvertible {
    package var description: String { "\(message) at byte \(offset)" }
}
