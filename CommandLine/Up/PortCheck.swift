import Glibc
import Models

/// Sees to it that the services' ports are free: another program there would be taken for the service.
enum PortCheck {
    static func run(_ ports: [(service: ServiceName, port: Int)]) throws {
        let taken = ports.filter { !isFree($0.port) }
        guard taken.isEmpty else {
            let list = taken.map { "\($0.port) (\($0.service.rawValue))" }.joined(separator: ", ")
            throw CommandProblem(
                "port \(list) is taken by another program; stop that, or choose other ports with --base-port")
        }
    }

    /// Whether a server could listen there.
    static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        address.sin_addr = in_addr(s_addr: in_addr_t(0x7F00_0001).bigEndian)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
