/// Which addresses may be called on behalf of somebody who names a URL: public ones, and those of networks that the
/// operator has named.
///
/// Without it, whoever may write a URL could reach what only this machine can: its own ports, the intranet, the metadata
/// service of a cloud (server-side request forgery).
package struct AddressRule: Sendable {
    /// Networks that may be called although they are not public.
    package let allowed: [IPNetwork]

    package init(allowed: [IPNetwork] = []) { self.allowed = allowed }

    /// Reads networks with commas between them.
    package init(setting name: String, in settings: ServiceSettings) throws(SettingsError) {
        let texts = (settings.string(name) ?? "").split(separator: ",").map {
            String($0.filter { !$0.isWhitespace })
        }
        let networks = texts.compactMap { IPNetwork($0) }
        guard networks.count == texts.count else {
            throw .invalid(
                "MARTLET_" + name,
                expected: "networks such as 10.1.0.0/16 or fd00:1::/64, with commas between")
        }
        allowed = networks
    }

    package func permits(_ address: IPAddress) -> Bool {
        allowed.contains { $0.contains(address) } || Self.isPublic(address)
    }

    /// Whether an address is one of the Internet at large (IANA's special-purpose registries, RFC 6890).
    package static func isPublic(_ address: IPAddress) -> Bool {
        if address.isVersion4 { return !special4.contains { $0.contains(address) } }
        return global6.contains { $0.contains(address) } && !special6.contains { $0.contains(address) }
            && !isISATAP(address)
    }

    private static let special4 = networks([
        "0.0.0.0/8",  // this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private
        "100.64.0.0/10",  // behind a carrier's NAT
        "127.0.0.0/8",  // loopback
        "169.254.0.0/16",  // link-local, with the metadata service of most clouds
        "168.63.129.16",  // Azure's host, a public address that leads to none
        "192.0.0.0/24", "192.88.99.0/24",  // protocol assignments, 6to4 relays
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  // documentation
        "198.18.0.0/15",  // benchmarks
        "224.0.0.0/4", "240.0.0.0/4",  // multicast, reserved, broadcast
    ])

    /// All that IANA has given out. Loopback, unique local, link-local, multicast, IPv4-mapped and NAT64 lie outside.
    private static let global6 = networks(["2000::/3"])

    private static let special6 = networks([
        "2001::/23",  // Teredo, ORCHID and other protocols
        "2001:db8::/32", "3fff::/20",  // documentation
        "2002::/16",  // 6to4: an IPv4 address in it, of whatever kind
    ])

    /// An interface id that holds an IPv4 address for routers on the way (RFC 5214).
    private static func isISATAP(_ address: IPAddress) -> Bool {
        address.bytes[8] & 0xFD == 0 && address.bytes[9] == 0 && address.bytes[10] == 0x5E
            && address.bytes[11] == 0xFE
    }

    private static func networks(_ texts: [String]) -> [IPNetwork] { texts.compactMap { IPNetwork($0) } }
}
