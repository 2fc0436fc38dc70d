/// `Mailbox` of RFC 5321, section 4.1.2: a dot-string or a quoted string, `@`, a domain or an address in brackets.
enum MailboxSyntax {
    static func matches(_ text: String) -> Bool {
        // Section 4.5.3.1: 64 bytes before the sign, and 256 of a path, which has two for its brackets.
        guard text.utf8.count <= 254, let at = text.utf8.lastIndex(of: UInt8(ascii: "@")) else {
            return false
        }
        let local = text.utf8[..<at]
        let domain = text[text.utf8.index(after: at)...]
        guard local.count <= 64 else { return false }
        return (isQuoted(local) || isDotString(local)) && (isDomain(domain) || isAddress(domain))
    }

    private static func isDotString(_ local: Substring.UTF8View) -> Bool {
        local.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && $0.allSatisfy(isAtomText) }
    }

    /// RFC 5322, section 3.2.3, `atext`.
    private static func isAtomText(_ byte: UInt8) -> Bool {
        byte.isLetterOrDigit || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }

    private static func isQuoted(_ local: Substring.UTF8View) -> Bool {
        guard local.count >= 2, local.first == UInt8(ascii: "\""), local.last == UInt8(ascii: "\"") else {
            return false
        }
        var rest = local.dropFirst().dropLast()
        while let byte = rest.popFirst() {
            guard (32...126).contains(byte), byte != UInt8(ascii: "\"") else { return false }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst(), (32...126).contains(escaped) else { return false }
            }
        }
        return true
    }

    private static func isDomain(_ domain: Substring) -> Bool {
        domain.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
            label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
                && label.last != UInt8(ascii: "-")
                && label.allSatisfy { $0.isLetterOrDigit || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isAddress(_ domain: Substring) -> Bool {
        guard domain.hasPrefix("["), domain.hasSuffix("]") else { return false }
        let address = domain.dropFirst().dropLast()
        if address.hasPrefix("IPv6:") { return IPAddress.isIPv6(address.dropFirst(5)) }
        return IPAddress.isIPv4(address)
    }
}

extension UInt8 {
    var isDigit: Bool { (48...57).contains(self) }

    var isLetter: Bool { (65...90).contains(self) || (97...122).contains(self) }

    var isLetterOrDigit: Bool { isDigit || isLetter }

    var isHexDigit: Bool { isDigit || (65...70).contains(self) || (97...102).contains(self) }
}
