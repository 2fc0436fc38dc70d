/// `URI` of RFC 3986, section 3: a scheme, then what may follow it.
enum URISyntax {
    static func matches(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), isScheme(text.utf8[..<colon]) else {
            return false
        }
        var rest = text[text.utf8.index(after: colon)...]
        if let hash = rest.utf8.firstIndex(of: UInt8(ascii: "#")) {
            guard consists(rest[rest.utf8.index(after: hash)...], of: pathBytes + "/?") else { return false }
            rest = rest[..<hash]
        }
        if let question = rest.utf8.firstIndex(of: UInt8(ascii: "?")) {
            guard consists(rest[rest.utf8.index(after: question)...], of: pathBytes + "/?") else {
                return false
            }
            rest = rest[..<question]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let end = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            guard isAuthority(rest[..<end]) else { return false }
            rest = rest[end...]
        }
        return consists(rest, of: pathBytes + "/")
    }

    private static let unreserved = "-._~"
    private static let subDelimiters = "!$&'()*+,;="
    private static let pathBytes = unreserved + subDelimiters + ":@"

    private static func isScheme(_ scheme: Substring.UTF8View) -> Bool {
        guard let first = scheme.first, first.isLetter else { return false }
        return scheme.allSatisfy { $0.isLetterOrDigit || "+-.".utf8.contains($0) }
    }

    /// Letters, digits, `%` with two hexadecimal digits, and the stated bytes.
    private static func consists(_ text: Substring, of others: String) -> Bool {
        var rest = text.utf8
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard rest.popFirst()?.isHexDigit == true, rest.popFirst()?.isHexDigit == true else {
                    return false
                }
            } else if !byte.isLetterOrDigit, !others.utf8.contains(byte) {
                return false
            }
        }
        return true
    }

    private static func isAuthority(_ authority: Substring) -> Bool {
        var rest = authority
        if let at = rest.utf8.lastIndex(of: UInt8(ascii: "@")) {
            guard consists(rest[..<at], of: unreserved + subDelimiters + ":") else { return false }
            rest = rest[rest.utf8.index(after: at)...]
        }
        let port: Substring
        if rest.hasPrefix("[") {
            guard let close = rest.utf8.firstIndex(of: UInt8(ascii: "]")),
                isLiteral(rest[rest.utf8.index(after: rest.startIndex)..<close])
            else { return false }
            port = rest[rest.utf8.index(after: close)...]
        } else {
            let colon = rest.utf8.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
            guard consists(rest[..<colon], of: unreserved + subDelimiters) else { return false }
            port = rest[colon...]
        }
        return port.isEmpty || (port.hasPrefix(":") && port.utf8.dropFirst().allSatisfy(\.isDigit))
    }

    /// An IPv6 address, or an address of a version to come: `v1.fe80`.
    private static func isLiteral(_ text: Substring) -> Bool {
        guard text.first == "v" || text.first == "V" else { return IPAddress.isIPv6(text) }
        let parts = text.dropFirst().utf8.split(
            separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[0].allSatisfy(\.isHexDigit), !parts[1].isEmpty else {
            return false
        }
        return parts[1].allSatisfy {
            $0.isLetterOrDigit || (unreserved + subDelimiters + ":").utf8.contains($0)
        }
    }
}
