/// Something that a person is known by.
package struct Identifier: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable, Codable {
        /// The caller's own id of a known person.
        case userID = "userId"
        case email
        /// A device or browser before, or without, login.
        case anonymousID = "anonymousId"
    }

    package let kind: Kind
    /// The normalised value: e-mail addresses in lower case without white space around them.
    package let value: String

    /// Normalises a value as it was sent; nil when nobody can be known by it.
    package init?(_ kind: Kind, _ raw: String?) {
        guard let raw else { return nil }
        self.kind = kind
        switch kind {
        case .userID, .anonymousID: value = raw
        case .email: value = raw.trimmed().lowercased()
        }
        if value.isEmpty || value.unicodeScalars.contains("\0") { return nil }
        if kind == .email, !Self.looksLikeEmail(value) { return nil }
    }

    /// Text on both sides of an at sign, no white space, and at most the 254 bytes that SMTP allows
    /// (RFC 5321, section 4.5.3.1.3). Whether anybody reads it only delivery can tell.
    private static func looksLikeEmail(_ value: String) -> Bool {
        guard value.utf8.count <= 254, let at = value.lastIndex(of: "@") else { return false }
        return at != value.startIndex && value.index(after: at) != value.endIndex
            && !value.contains(where: \.isWhitespace)
    }
}

extension Identifier {
    /// Reads `{"type":"email","value":"someone@example.com"}`.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        let kind = try fields.choice("type", as: Kind.self)
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
    fileprivate func trimmed() -> String {
        let start = drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }
}
