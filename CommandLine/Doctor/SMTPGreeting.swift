import Glibc

/// What a mail server says first.
enum SMTPGreeting {
    struct NoAnswer: Error, CustomStringConvertible { let description: String }

    /// Connects, and reads the greeting where it is not encrypted. Waits five seconds at most for each.
    static func read(host: String, port: Int, encrypted: Bool) async throws -> String {
        try await Task.detached { try readBlocking(host: host, port: port, encrypted: encrypted) }.value
    }

    private static func readBlocking(host: String, port: Int, encrypted: Bool) throws -> String {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let first = list else {
            throw NoAnswer(description: "the name is not known")
        }
        defer { freeaddrinfo(first) }
        let descriptor = socket(first.pointee.ai_family, first.pointee.ai_socktype, first.pointee.ai_protocol)
        guard descriptor >= 0 else { throw NoAnswer(description: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        guard connect(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else {
            throw NoAnswer(description: String(cString: strerror(errno)))
        }
        if encrypted { return "" }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { throw NoAnswer(description: "it connects and says nothing") }
        return String(decoding: buffer.prefix(count).prefix { $0 != 13 && $0 != 10 }, as: UTF8.self)
    }
}
