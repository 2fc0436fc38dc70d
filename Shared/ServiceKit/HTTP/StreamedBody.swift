import Hummingbird
import NIOCore
import ServiceLifecycle

/// A body that is written while the client reads it, for as long as there is something to say.
///
/// `write` is cancelled when the client leaves, when the process drains and when the time is up. Returning then, or
/// throwing `CancellationError`, ends the body cleanly.
package struct StreamedBody: Sendable {
    package typealias Write = @Sendable (BodyWriter) async throws -> Void

    /// After this the body ends, so that whoever may read no longer is asked again.
    let longest: Duration
    let write: Write

    package init(longest: Duration, _ write: @escaping Write) {
        self.longest = longest
        self.write = write
    }

    /// What Hummingbird writes, for the request that it answers.
    func body(answering request: Request) -> ResponseBody {
        ResponseBody { inner in
            let writer = BodyWriter(inner)
            do {
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await cancelWhenGracefulShutdown { try await run(writer) }
                }
            } catch is CancellationError {}
            try await writer.finish()
        }
    }

    private func run(_ writer: BodyWriter) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await write(writer) }
            group.addTask { try await Task.sleep(for: longest) }
            try await group.next()
            group.cancelAll()
        }
    }
}

/// The client's end of a streamed body. One task at a time may write.
package final class BodyWriter: @unchecked Sendable {
    // Hummingbird's writers are values that one task after the other uses; their protocol doesn't say so.
    private var inner: any ResponseBodyWriter
    private var isBroken = false

    init(_ inner: any ResponseBodyWriter) {
        self.inner = inner
    }

    /// How long a write that has begun may take once the body is to end.
    private static let grace = Duration.seconds(1)

    /// Returns when the client has room for more, so that whoever reads slowly fills nobody's memory.
    ///
    /// A write that is cut off leaves the client in the middle of something, so one that has begun when the body is to end
    /// is let finish, unless the client takes too long for that.
    package func write(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        let writing = Task { try await self.inner.write(ByteBuffer(bytes: bytes)) }
        do {
            try await withTaskCancellationHandler {
                try await writing.value
            } onCancel: {
                Task {
                    try? await Task.sleep(for: Self.grace)
                    writing.cancel()
                }
            }
        } catch {
            isBroken = true
            throw error
        }
    }

    /// Says that this was all. After a write that was cut off it can't be said: the connection is closed instead.
    fileprivate func finish() async throws {
        if isBroken { throw CancellationError() }
        let inner = inner
        try await inner.finish(nil)
    }
}

extension ServiceResponse {
    /// A body that is written while it is read, because it may be long.
    package static func streaming(
        _ contentType: String, longest: Duration, _ write: @escaping StreamedBody.Write
    ) -> ServiceResponse {
        var response = ServiceResponse(headers: [.contentType: contentType])
        response.streamed = StreamedBody(longest: longest, write)
        return response
    }

    /// Server-sent events (WHATWG HTML, section 9.2), written one by one for at most `longest`.
    package static func events(
        longest: Duration, _ write: @escaping StreamedBody.Write
    ) -> ServiceResponse {
        var response = ServiceResponse(
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"])
        // Proxies that gather answers would keep events back.
        response.headers[.acceptsBuffering] = "no"
        response.streamed = StreamedBody(longest: longest, write)
        return response
    }
}
