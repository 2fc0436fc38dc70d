/// The proxies that stand between an installation and the world: what they say of a client's address is believed.
package struct TrustedProxies: Sendable {
    package static let none = TrustedProxies([])

    private let networks: [IPNetwork]

    private init(_ networks: [IPNetwork]) { self.networks = networks }

    /// Reads addresses and networks with commas between them; nil where one is neither.
    package init?(_ text: String) {
        var networks: [IPNetwork] = []
        for part in text.split(separator: ",") {
            guard let network = IPNetwork(part.filter { $0 != " " }) else { return nil }
            networks.append(network)
        }
        self.networks = networks
    }

    /// Whether whoever is at the other end of a connection is one of them.
    private func contains(_ peer: String) -> Bool {
        guard !networks.isEmpty, let address = Self.address(peer) else { return false }
        return networks.contains { $0.contains(address) }
    }

    /// Whose request it is: of the addresses in `X-Forwarded-For`, to which each proxy adds the one that it was asked
    /// from, the last that is no trusted proxy's. What stands before it anybody may have written. The peer itself where
    /// it is no trusted proxy, or says nothing that is an address.
    package func client(of peer: String, forwarded: String?) -> String {
        guard let forwarded, contains(peer) else { return peer }
        var client = peer
        for part in forwarded.split(separator: ",").reversed() {
            guard let address = Self.address(part.filter { $0 != " " && $0 != "\t" }) else { break }
            client = address.description
            if !networks.contains(where: { $0.contains(address) }) { break }
        }
        return client
    }

    /// An address as proxies write it, with or without a port; one of IPv4 also where it is written as one of IPv6.
    private static func address(_ text: String) -> IPAddress? {
        var text = text[...]
        if text.first == "[" {
            text = text.dropFirst().prefix { $0 != "]" }
        } else if let colon = text.firstIndex(of: ":"), text.contains("."),
            text.lastIndex(of: ":") == colon
        {
            text = text[..<colon]
        }
        guard let address = IPAddress(String(text)) else { return nil }
        let bytes = address.bytes
        guard bytes.count == 16, bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10...11] == [0xFF, 0xFF]
        else { return address }
        return IPAddress(bytes: Array(bytes.suffix(4))) ?? address
    }
}
