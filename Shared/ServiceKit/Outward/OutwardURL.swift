/// A URL that somebody outside may name to be called: https (or http), a host, and no user.
///
/// It is read strictly and put together again, so that what was checked is what is called, whoever reads it next.
package struct OutwardURL: Hashable, Sendable, CustomStringConvertible {
    package enum Host: Hashable, Sendable {
        /// In lower case.
        case name(String)
        case address(IPAddress)
    }

    package let isSecure: Bool
    package let host: Host
    package let port: Int?
    /// The path and the query.
    package let target: String

    package static let mostBytes = 2048

    package init(_ text: String) throws(OutwardURLError) {
        guard text.utf8.count <= Self.mostBytes else { throw .tooLong }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !Self.neverInURL.contains($0) }) else {
            throw .characters
        }
        let lower = text.lowercased()
        if lower.hasPrefix("https://") {
            isSecure = true
        } else if lower.hasPrefix("http://") {
            isSecure = false
        } else {
            throw .scheme
        }
        guard !text.contains("#") else { throw .fragment }
        let rest = text.dropFirst(isSecure ? 8 : 7)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest.dropFirst(authority.count)
        target = tail.hasPrefix("/") ? String(tail) : "/" + tail
        guard !authority.contains("@") else { throw .user }
        let (hostText, portText) = try Self.split(authority)
        host = try Self.host(hostText)
        if let portText {
            guard let number = Int(portText), (1...65_535).contains(number),
                portText.utf8.allSatisfy(Self.isDigit)
            else { throw .port }
            port = number
        } else {
            port = nil
        }
    }

    package var description: String { (isSecure ? "https://" : "http://") + hostText + portText + target }

    /// The host as it stands in a URL.
    var hostText: String {
        switch host {
        case .name(let name): name
        case .address(let address): address.isVersion4 ? address.description : "[\(address)]"
        }
    }

    private var portText: String { port.map { ":\($0)" } ?? "" }

    private static let neverInURL = Set(#"\"<>^`{|}"#.utf8)

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func split(_ authority: Substring) throws(OutwardURLError) -> (Substring, Substring?) {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw .host }
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { throw .host }
            return (authority[...end], after.isEmpty ? nil : after.dropFirst())
        }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { throw .host }
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }

    private static func host(_ text: Substring) throws(OutwardURLError) -> Host {
        if text.hasPrefix("[") {
            guard let address = IPAddress(String(text.dropFirst().dropLast())), !address.isVersion4 else {
                throw .host
            }
            return .address(address)
        }
        if let address = IPAddress(String(text)) { return .address(address) }
        let name = text.lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, labels.allSatisfy(isLabel),
            // `127.1`, `0x7f000001` and `2130706433` are addresses to some readers and names to others.
            let last = labels.last, last.first.map({ !$0.isNumber }) ?? false
        else { throw .host }
        return .name(name)
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
            && label.utf8.allSatisfy {
                (97...122).contains($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
    }
}

/// Why a text is no URL to call.
package enum OutwardURLError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong, characters, scheme, fragment, user, host, port

    package var description: String {
        switch self {
        case .tooLong: "it may have at most \(OutwardURL.mostBytes) bytes"
        case .characters:
            "it may hold only what RFC 3986 allows; percent-encode the rest, and give the host in Punycode"
        case .scheme: "it must begin with https://"
        case .fragment: "it may have no fragment"
        case .user: "it may hold no user or password; the signature says who is calling"
        case .host: "its host must be a name such as hooks.example.com, or an address in its usual form"
        case .port: "its port must be a number from 1 to 65535"
        }
    }
}
