import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// A real HTTP server in this process that answers as a test says, and remembers what came.
package final class HTTPReceiver: Sendable {
    /// What came.
    package struct Received: Sendable {
        package let path: String
        package let host: String
        package let headers: [String: String]
        package let body: [UInt8]
        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// What to say to it.
    package struct Reply: Sendable {
        package var status: Int
        package var headers: [String: String]
        package var body: String

        package init(_ status: Int, headers: [String: String] = [:], body: String = "") {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    private let mailbox: Mailbox
    package let port: Int

    /// Everything so far, in order.
    package var received: [Received] { mailbox.all }

    private init(port: Int, mailbox: Mailbox) {
        self.port = port
        self.mailbox = mailbox
    }

    package func url(_ path: String = "/hooks", host: String = "127.0.0.1") -> String {
        "http://\(host):\(port)\(path)"
    }

    /// Runs `body` with the server up.
    package static func with<T>(
        _ answer: @escaping @Sendable (Received) async -> Reply = { _ in Reply(204) },
        _ body: (HTTPReceiver) async throws -> T
    ) async throws -> T {
        var logger = Logger(label: "test-receiver")
        logger.logLevel = .critical
        let (ports, announce) = AsyncStream.makeStream(of: Int.self)
        let mailbox = Mailbox()
        let application = Application(
            responder: CallbackResponder { (request: Request, _: BasicRequestContext) in
                let bytes = try await request.body.collect(upTo: 16 << 20)
                let received = Received(
                    path: request.uri.path, host: request.head.authority ?? "",
                    headers: Dictionary(
                        request.headers.map { ($0.name.canonicalName, $0.value) },
                        uniquingKeysWith: { first, _ in first }),
                    body: Array(bytes.readableBytesView))
                mailbox.add(received)
                let reply = await answer(received)
                var headers = HTTPFields()
                for (name, value) in reply.headers {
                    if let name = HTTPField.Name(name) { headers[name] = value }
                }
                return Response(
                    status: HTTPResponse.Status(code: reply.status), headers: headers,
                    body: ResponseBody(byteBuffer: ByteBuffer(string: reply.body)))
            },
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { announce.yield($0.localAddress?.port ?? 0) }, logger: logger)
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: application)], logger: logger))
        let task = Task {
            defer { announce.finish() }
            try await group.run()
        }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else {
            try await task.value
            throw HarnessError.didNotStart
        }
        func stop() async {
            await group.triggerGracefulShutdown()
            task.cancel()
            _ = try? await task.value
        }
        do {
            let value = try await body(HTTPReceiver(port: port, mailbox: mailbox))
            await stop()
            return value
        } catch {
            await stop()
            throw error
        }
    }
}

private final class Mailbox: Sendable {
    private let seen = Mutex<[HTTPReceiver.Received]>([])
    func add(_ received: HTTPReceiver.Received) { seen.withLock { $0.append(received) } }
    var all: [HTTPReceiver.Received] { seen.withLock { $0 } }
}
