/// Something that a person is known by.
package struct Identifier: Hashable, Sendable {
    /// What kind of thing it is. Types are open: a policy may name others than these, such as the ids that CRM and
    /// support systems have for a person (`salesforce:contact`).
    package struct Kind: RawRepresentable, Hashable, Sendable, Codable {
        package let rawValue: String

        /// 1 to 64 letters, digits and `_ . : -`, the first of them a letter.
        package init?(rawValue: String) {
            guard (1...64).contains(rawValue.utf8.count), let first = rawValue.utf8.first,
                Self.isLetter(first), rawValue.utf8.allSatisfy(Self.isAllowed)
            else { return nil }
            self.rawValue = rawValue
        }

        private init(known: String) { rawValue = known }

        /// The caller's own id of a known person.
        package static let userID = Kind(known: "userId")
        package static let email = Kind(known: "email")
        package static let phone = Kind(known: "phone")
        /// A device or browser before, or without, login.
        package static let anonymousID = Kind(known: "anonymousId")

        private static func isLetter(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }

        private static func isAllowed(_ byte: UInt8) -> Bool {
            isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || [UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-")].contains(byte)
        }
    }

    package let kind: Kind
    /// The normalised value: e-mail addresses in lower case without white space around them.
    package let value: String

    /// Normalises a value as it was sent; nil when nobody can be known by it.
    package init?(_ kind: Kind, _ raw: String?) {
        guard let raw else { return nil }
        self.kind = kind
        value = kind == .email ? raw.trimmed().lowercased() : raw
        if value.isEmpty || value.unicodeScalars.contains("\0") { return nil }
        if kind == .email, !Self.looksLikeEmail(value) { return nil }
    }

    /// Takes a value that was normalised before, as the policy of its type says.
    package init(_ kind: Kind, normalised value: String) {
        self.kind = kind
        self.value = value
    }

    /// Text on both sides of an at sign, no white space, and at most the 254 bytes that SMTP allows
    /// (RFC 5321, section 4.5.3.1.3). Whether anybody reads it only delivery can tell.
    package static func looksLikeEmail(_ value: String) -> Bool {
        guard value.utf8.count <= 254, let at = value.lastIndex(of: "@") else { return false }
        return at != value.startIndex && value.index(after: at) != value.endIndex
            && !value.contains(where: \.isWhitespace)
    }
}

extension Identifier {
    /// Reads `{"type":"email","value":"someone@example.com"}`.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        guard let kind = Kind(rawValue: try fields.string("type")) else {
            throw fields.problem(
                "type", expected: "the type of an identifier, such as userId, email or anonymousId")
        }
        let raw = try fields.string("value")
        guard raw.utf8.count <= Self.longestValue, let identifier = Identifier(kind, raw) else {
            throw fields.problem(
                "value", expected: kind == .email ? "an e-mail address" : "1 to 1024 bytes of text")
        }
        self = identifier
    }

    package var json: JSON { ["type": .string(kind.rawValue), "value": .string(value)] }

    /// Bytes that a caller of the API may send as one value.
    package static let longestValue = 1024
}

extension String {
    /// Without white space at its ends.
    package func trimmed() -> String {
        let start = drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
