import AsyncHTTPClient
import Models
import NIOCore
import NIOHTTP1
package import ServiceKit

/// Server-sent events as they come.
package struct EventStream {
    private var chunks: AsyncThrowingStream<[UInt8], any Error>.Iterator
    private var reader = ServerSentEventReader()
    private var waiting: [ServerSentEvent] = []

    init(_ chunks: AsyncThrowingStream<[UInt8], any Error>) {
        self.chunks = chunks.makeAsyncIterator()
    }

    /// The next event; nil when the stream has ended cleanly.
    package mutating func next() async throws -> ServerSentEvent? {
        while waiting.isEmpty {
            guard let chunk = try await chunks.next(isolation: #isolation) else { return nil }
            waiting = reader.events(in: chunk)
        }
        return waiting.removeFirst()
    }

    /// The next events.
    package mutating func next(_ count: Int) async throws -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        while events.count < count, let event = try await next() { events.append(event) }
        return events
    }

    /// The next bytes as text, comments and all.
    package mutating func nextText() async throws -> String? {
        try await chunks.next(isolation: #isolation).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension ServiceHarness {
    /// Opens a stream of events; the client leaves when `body` returns.
    package func events(
        _ path: String, headers: [String: String] = [:],
        _ body: (inout EventStream) async throws -> Void
    ) async throws {
        var request = HTTPClientRequest(url: baseURL + path)
        request.headers.add(
            name: "Authorization", value: "Bearer " + context.tokens.issue(from: .console, to: context.name))
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await client.execute(request, timeout: .seconds(120))
        guard response.status == .ok else { throw HarnessError.answered(Int(response.status.code)) }
        let (chunks, arrived) = AsyncThrowingStream.makeStream(of: [UInt8].self)
        let reading = Task {
            do {
                for try await chunk in response.body {
                    // As long as something comes, a task that is cancelled is not told otherwise.
                    try Task.checkCancellation()
                    arrived.yield(Array(chunk.readableBytesView))
                }
                arrived.finish()
            } catch {
                arrived.finish(throwing: error)
            }
        }
        defer { reading.cancel() }
        var stream = EventStream(chunks)
        try await body(&stream)
    }
}
