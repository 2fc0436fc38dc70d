import Dispatch
import Glibc

/// Finds the addresses of a name, as the system does.
package struct HostResolver: Sendable {
    /// The addresses in the order in which to try them; none when the name leads nowhere.
    package let addresses: @Sendable (_ name: String) async -> [IPAddress]

    package init(_ addresses: @escaping @Sendable (_ name: String) async -> [IPAddress]) {
        self.addresses = addresses
    }

    /// The machine's own resolver. It blocks, so it has threads of its own.
    package static let system = HostResolver { name in
        await withCheckedContinuation { continuation in
            threads.async { continuation.resume(returning: lookUp(name)) }
        }
    }

    private static let threads = DispatchQueue(label: "martlet.resolver", attributes: .concurrent)

    private static func lookUp(_ name: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &first) == 0 else { return [] }
        defer { freeaddrinfo(first) }
        var addresses: [IPAddress] = []
        var next = first
        while let info = next?.pointee {
            if let address = address(info), !addresses.contains(address) { addresses.append(address) }
            next = info.ai_next
        }
        return addresses
    }

    private static func address(_ info: addrinfo) -> IPAddress? {
        guard let raw = UnsafeRawPointer(info.ai_addr) else { return nil }
        switch info.ai_family {
        case AF_INET where info.ai_addrlen >= socklen_t(MemoryLayout<sockaddr_in>.size):
            var v4 = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
            return IPAddress(bytes: withUnsafeBytes(of: &v4) { Array($0) })
        case AF_INET6 where info.ai_addrlen >= socklen_t(MemoryLayout<sockaddr_in6>.size):
            var v6 = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return IPAddress(bytes: withUnsafeBytes(of: &v6) { Array($0) })
        default: return nil
        }
    }
}
