/// The place of a value in a document (RFC 6901): `/products/0/sku`; empty for the whole document.
package struct JSONPointer: Hashable, Sendable {
    /// Names of members and indices of elements, from the outermost in.
    package var tokens: [String]

    package init(_ tokens: [String] = []) { self.tokens = tokens }

    /// Reads the text form; nil when a part doesn't follow a slash or an escape is none.
    package init?(text: String) {
        guard !text.isEmpty else {
            tokens = []
            return
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.first?.isEmpty == true else { return nil }
        tokens = []
        for part in parts.dropFirst() {
            guard let token = Self.unescaped(part) else { return nil }
            tokens.append(token)
        }
    }

    /// The place of a member or element of what stands here.
    package func appending(_ token: String) -> JSONPointer { JSONPointer(tokens + [token]) }

    /// Whether `other` lies within what stands here.
    func contains(_ other: JSONPointer) -> Bool {
        tokens.count < other.tokens.count && other.tokens.starts(with: tokens)
    }

    /// The text with every part cut to a length that reports can afford: a sender chooses the names.
    package var abbreviated: String {
        Self.text(tokens.map { $0.utf8.count <= 200 ? $0 : String($0.unicodeScalars.prefix(60)) + "…" })
    }

    private static func text(_ tokens: [String]) -> String {
        tokens.map { "/" + escaped($0) }.joined()
    }

    private static func escaped(_ token: String) -> String {
        guard token.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return token
        }
        var text = ""
        for scalar in token.unicodeScalars {
            switch scalar {
            case "~": text += "~0"
            case "/": text += "~1"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func unescaped(_ part: Substring) -> String? {
        var text = ""
        var scalars = part.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            guard scalar == "~" else {
                text.unicodeScalars.append(scalar)
                continue
            }
            switch scalars.next() {
            case "0": text += "~"
            case "1": text += "/"
            default: return nil
            }
        }
        return text
    }
}

extension JSONPointer: CustomStringConvertible {
    package var description: String { Self.text(tokens) }
}
