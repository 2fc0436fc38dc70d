package import HTTPTypes

/// A small request that is answered without a task of its own.
package struct DirectRequest: Sendable {
    package let headers: HTTPFields
    package let body: [UInt8]
    /// The W3C trace context to carry on with.
    package let traceparent: String?

    init(head: HTTPRequest, body: [UInt8]) {
        headers = head.headerFields
        self.body = body
        traceparent = head.headerFields[.traceparent].flatMap { Traceparent.isValid($0) ? $0 : nil }
    }
}

/// Answers a request by calling `respond` once, now or later and from anywhere, and returns true. Or returns false
/// without having done anything: then the request goes the usual way, to the handler of its route.
///
/// It runs on an event loop, so it must not block, and not compute for longer than a few milliseconds.
package typealias DirectHandler =
    @Sendable (
        _ request: DirectRequest, _ respond: @escaping @Sendable (Result<ServiceResponse, any Error>) -> Void
    ) -> Bool

/// The routes that have a direct handler beside their usual one, for services that live from the number of small
/// requests. Nothing crosses threads on behalf of one: a collecting call costs about two thirds of the usual way.
struct DirectRoutes: Sendable {
    /// Larger bodies go the usual way.
    static let bodyBytes = 64 << 10

    private let handlers: [String: DirectHandler]

    /// Direct handlers of POST by path.
    init(_ handlers: [String: DirectHandler]) {
        self.handlers = handlers
    }

    var isEmpty: Bool { handlers.isEmpty }

    /// The handler for a request, by its head alone: a plain POST from somebody without a bearer token, with a body of
    /// known and small size.
    func handler(for head: HTTPRequest) -> (path: String, handler: DirectHandler)? {
        guard head.method == .post, let path = head.path, let handler = handlers[path] else { return nil }
        let headers = head.headerFields
        guard let length = headers[.contentLength].flatMap({ Int($0) }), length <= Self.bodyBytes,
            headers[.connection] == nil || headers[.connection]?.lowercased() == "keep-alive",
            headers[.transferEncoding] == nil, headers[.contentEncoding] == nil, headers[.expect] == nil,
            !(headers[.authorization]?.prefix(7).lowercased() == "bearer ")
        else { return nil }
        return (path, handler)
    }
}
