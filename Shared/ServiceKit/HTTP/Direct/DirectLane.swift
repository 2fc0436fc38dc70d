import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTPTypes

/// Lets requests with a direct handler turn off before they reach the server's own task, and everything else pass.
/// It stands between Hummingbird's handler of the connection's state, which so counts every request for idle timeouts
/// and for shutdown, and Hummingbird's bridge to tasks.
final class DirectLane: ChannelDuplexHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private struct Gathered {
        var head: HTTPRequest
        var body: ByteBuffer
        let path: String
        let handler: DirectHandler
    }

    private enum State {
        /// Requests pass by; `open` of them have no complete answer yet.
        case passing(open: Int)
        /// A request of ours is being read.
        case gathering(Gathered)
        /// A request of ours waits for its answer.
        case answering(path: String, start: ContinuousClock.Instant)
    }

    private static let heldBytes = 64 << 10

    private let routes: DirectRoutes
    private let edge: RequestEdge
    private let limiter: RateLimiter
    private var state = State.passing(open: 0)
    /// What a pipelining client has sent while we answer.
    private var held = CircularBuffer<HTTPRequestPart>()
    private var heldSize = 0
    private var holdsRead = false
    private var holdsInputClosed = false

    init(routes: DirectRoutes, edge: RequestEdge, limiter: RateLimiter) {
        self.routes = routes
        self.edge = edge
        self.limiter = limiter
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        if case .answering = state {
            held.append(part)
            heldSize += part.size
        } else {
            take(part, context)
        }
    }

    private func take(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch state {
        case .passing(let open):
            guard case .head(let head) = part else { return pass(part, context) }
            if open == 0, let (path, handler) = routes.handler(for: head) {
                state = .gathering(
                    Gathered(head: head, body: ByteBuffer(), path: path, handler: handler))
            } else {
                state = .passing(open: open + 1)
                pass(part, context)
            }
        case .gathering(var gathered):
            switch part {
            case .head: pass(part, context)
            case .body(var bytes):
                if gathered.body.readableBytes == 0 {
                    gathered.body = bytes
                } else {
                    gathered.body.writeBuffer(&bytes)
                }
                state = .gathering(gathered)
            case .end: answer(gathered, end: part, context)
            }
        case .answering: held.append(part)
        }
    }

    private func pass(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        context.fireChannelRead(wrapInboundOut(part))
    }

    private func answer(_ gathered: Gathered, end: HTTPRequestPart, _ context: ChannelHandlerContext) {
        state = .answering(path: gathered.path, start: .now)
        let lane = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        do {
            try limiter.check(
                caller: .anonymous, address: context.channel.remoteAddress?.ipAddress ?? "unknown")
        } catch {
            return respond(.failure(error), context)
        }
        let request = DirectRequest(head: gathered.head, body: Array(gathered.body.readableBytesView))
        let isTaken = gathered.handler(request) { result in
            if loop.inEventLoop {
                lane.value.0.respond(result, lane.value.1)
            } else {
                loop.execute { lane.value.0.respond(result, lane.value.1) }
            }
        }
        if isTaken { return }
        state = .passing(open: 1)
        pass(.head(gathered.head), context)
        if gathered.body.readableBytes > 0 { pass(.body(gathered.body), context) }
        pass(end, context)
        context.fireChannelReadComplete()
    }

    private func respond(_ result: Result<ServiceResponse, any Error>, _ context: ChannelHandlerContext) {
        guard case .answering(let path, let start) = state else { return }
        let response: ServiceResponse
        switch result {
        case .success(let value): response = value
        case .failure(let error): response = edge.answer(error, method: .post, route: path, path: path)
        }
        edge.record(.post, route: path, status: response.status, took: .now - start)
        guard context.channel.isActive else { return }
        var headers = response.headers
        headers[.contentLength] = String(response.body.count)
        headers[.xContentTypeOptions] = "nosniff"
        headers[.server] = "martlet"
        context.write(
            wrapOutboundOut(.head(HTTPResponse(status: response.status, headerFields: headers))), promise: nil
        )
        context.write(wrapOutboundOut(.body(ByteBuffer(bytes: response.body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .passing(open: 0)
        goOn(context)
    }

    /// Takes up what has come in the meantime.
    private func goOn(_ context: ChannelHandlerContext) {
        while let part = held.first {
            if case .answering = state { return }
            held.removeFirst()
            heldSize -= part.size
            take(part, context)
        }
        if case .answering = state { return }
        context.fireChannelReadComplete()
        if holdsInputClosed {
            holdsInputClosed = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
        if holdsRead {
            holdsRead = false
            context.read()
        }
    }

    // MARK: What passes

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data), case .passing(let open) = state {
            state = .passing(open: max(0, open - 1))
        }
        context.write(data, promise: promise)
    }

    func read(context: ChannelHandlerContext) {
        if case .answering = state, heldSize > Self.heldBytes {
            holdsRead = true
        } else {
            context.read()
        }
    }

    /// That a client has sent its last must not end the connection before it has its answer.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .answering = state, event as? ChannelEvent == .inputClosed {
            holdsInputClosed = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

extension HTTPRequestPart {
    fileprivate var size: Int {
        switch self {
        case .head: 512
        case .body(let bytes): bytes.readableBytes
        case .end: 0
        }
    }
}

/// Puts the lane into its place once Hummingbird has set the connection up.
final class DirectLaneInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    private let routes: DirectRoutes
    private let edge: RequestEdge
    private let limiter: RateLimiter

    init(routes: DirectRoutes, edge: RequestEdge, limiter: RateLimiter) {
        self.routes = routes
        self.edge = edge
        self.limiter = limiter
    }

    func channelActive(context: ChannelHandlerContext) {
        install(context)
        context.fireChannelActive()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.0.install(bound.value.1) }
    }

    private func install(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        guard let state = try? pipeline.handler(type: HTTPConnectionStateHandler.self),
            (try? pipeline.handler(type: DirectLane.self)) == nil
        else { return }
        // Without it everything goes the usual way.
        try? pipeline.addHandler(
            DirectLane(routes: routes, edge: edge, limiter: limiter), position: .after(state))
    }
}
