import Dispatch
import Foundation
import Glibc
import Synchronization

/// A small SMTP server of a test's own. What it says to a recipient depends on the address: `dead…` gets 550,
/// `later…` gets 451 the first time, everybody else gets mail; after one to `bye…` the connection says no more.
final class SMTPReceiver: Sendable {
    struct Mail: Sendable {
        var sender: String
        var recipient: String
        var text: String
    }

    let port: Int
    /// Every mail, when it has been answered with 250.
    let mails: AsyncStream<Mail>
    private let arrivals: AsyncStream<Mail>.Continuation
    private let listener: Int32
    private let seen = Mutex<Set<String>>([])
    private let count = Mutex(0)

    /// Connections so far.
    var connections: Int { count.withLock { $0 } }

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
        (mails, arrivals) = AsyncStream.makeStream()
        DispatchQueue(label: "smtp.accept").async { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                count.withLock { $0 += 1 }
                DispatchQueue(label: "smtp.connection").async { self.converse(connection) }
            }
        }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        arrivals.finish()
    }

    private func converse(_ connection: Int32) {
        var (buffer, sender, recipient) = ([UInt8](), "", "")
        func say(_ line: String) {
            _ = Glibc.send(connection, line + "\r\n", line.utf8.count + 2, Int32(MSG_NOSIGNAL))
        }
        func line() -> String? {
            while true {
                if let end = buffer.firstIndex(of: 10) {
                    let line = String(decoding: buffer[..<end], as: UTF8.self)
                    buffer.removeSubrange(...end)
                    return line.last == "\r" ? String(line.dropLast()) : line
                }
                var chunk = [UInt8](repeating: 0, count: 8192)
                let count = recv(connection, &chunk, chunk.count, 0)
                if count <= 0 { return nil }
                buffer += chunk[..<count]
            }
        }
        defer { close(connection) }
        say("220 test ESMTP")
        while let command = line() {
            if recipient.hasPrefix("bye"), command.hasPrefix("MAIL") { return }
            switch command.prefix(4).uppercased() {
            case "EHLO":
                say("250-test")
                say("250 8BITMIME")
            case "MAIL":
                sender = command
                say("250 2.1.0 fine")
            case "RCPT":
                recipient = String(command.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })
                let isFirst = seen.withLock { $0.insert(recipient).inserted }
                if recipient.hasPrefix("dead") {
                    say("550 5.1.1 no such user")
                } else if recipient.hasPrefix("later"), isFirst {
                    say("451 4.7.1 try again")
                } else {
                    say("250 2.1.5 fine")
                }
            case "DATA":
                say("354 go on")
                var text = ""
                while let line = line(), line != "." {
                    text += (line.hasPrefix("..") ? String(line.dropFirst()) : line) + "\r\n"
                }
                say("250 2.0.0 taken")
                arrivals.yield(Mail(sender: sender, recipient: recipient, text: text))
            case "QUIT":
                say("221 bye")
                return
            default: say("250 fine")
            }
        }
    }
}
