/// An e-mail address that SMTP can carry: a dot-atom, `@`, and a domain of letters, digits and hyphens
/// (RFC 5321, 4.1.2). Quoted local parts, address literals and addresses beyond ASCII are refused.
package struct EmailAddress: Hashable, Sendable, CustomStringConvertible {
    package let local: String
    /// In lower case.
    package let domain: String

    package var description: String { local + "@" + domain }

    /// Reads an address; blanks around it don't matter.
    package init?(_ text: String) {
        let trimmed = text.trimmed(start: true, end: true)
        guard trimmed.utf8.count <= 254, let at = trimmed.lastIndex(of: "@") else { return nil }
        let local = trimmed[..<at]
        let domain = trimmed[trimmed.index(after: at)...].lowercased()
        guard Self.isDotAtom(local), Self.isDomain(domain) else { return nil }
        (self.local, self.domain) = (String(local), domain)
    }

    private static let marks = Set("!#$%&'*+-/=?^_`{|}~".utf8)

    private static func isDotAtom(_ text: Substring) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 64 else { return false }
        return text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
            atom in
            !atom.isEmpty && atom.allSatisfy { $0.isASCIILetterOrDigit || marks.contains($0) }
        }
    }

    private static func isDomain(_ text: String) -> Bool {
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.count >= 2, text.utf8.count <= 253 else { return false }
        let isEveryLabelFine = labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
                && label.last != UInt8(ascii: "-")
                && label.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "-") }
        }
        // A last label of digits alone is an address of the network, not a domain.
        return isEveryLabelFine && !(labels.last?.allSatisfy(\.isLiquidDigit) ?? true)
    }
}

/// An address with the name of who is behind it: `Martlet Shop <shop@example.com>`.
package struct Mailbox: Hashable, Sendable {
    package var name: String?
    package var address: EmailAddress

    package init(name: String? = nil, address: EmailAddress) {
        (self.name, self.address) = (name, address)
    }

    /// Reads `address`, `<address>` or `name <address>`; the name may stand in quotes.
    package init?(_ text: String) {
        guard let open = text.lastIndex(of: "<") else {
            guard let address = EmailAddress(text) else { return nil }
            self.init(address: address)
            return
        }
        let rest = text[text.index(after: open)...].trimmed
        guard rest.last == ">", let address = EmailAddress(String(rest.dropLast())) else { return nil }
        var name = text[..<open].trimmed
        if name.count >= 2, name.first == "\"", name.last == "\"" {
            name = String(name.dropFirst().dropLast())
        }
        self.init(name: name.isEmpty ? nil : name, address: address)
    }
}

extension Substring {
    fileprivate var trimmed: String { String(self).trimmed(start: true, end: true) }
}

extension UInt8 {
    var isASCIILetterOrDigit: Bool {
        isLiquidDigit || (65...90).contains(self) || (97...122).contains(self)
    }
}
