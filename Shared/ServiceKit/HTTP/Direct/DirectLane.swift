import Glibc
import HTTPTypes
import NIOCore

/// Answers requests that have a direct handler out of the bytes of the connection, before the server's own parser and
/// task see them; everything else passes.
///
/// It stands first in the pipeline. It reads heads that are plain (``PlainHead``) to know where each request ends, and
/// hands whole requests to direct handlers, one at a time. Other plain requests pass to the usual way, and so do those
/// behind one that has no answer yet. From the first head on that is not plain, the connection's bytes just pass.
final class DirectLane: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Mode {
        /// A request begins with the next byte.
        case atRequest
        /// So many bytes of a request's body are to pass.
        case passingBody(left: Int)
        /// All bytes pass, for ever.
        case passing
    }

    /// A head with what it leads to.
    private struct Known {
        var bytes: ByteBuffer
        var head: PlainHead
        var handler: DirectHandler?
    }

    /// What the lane is to a server, rather than to a connection.
    struct Surroundings {
        let routes: DirectRoutes
        let edge: RequestEdge
        let limiter: RateLimiter
        let mailboxes: LoopMailboxes
    }

    private static let heldBytes = 64 << 10

    private let around: Surroundings
    private let client: SlowClientHandler
    private let mailbox: LoopMailbox
    /// Who the client is to the rate limiter.
    private let caller: String
    private var mode = Mode.atRequest
    private var held = ByteBuffer()
    /// The last head: those of a connection are mostly the same.
    private var known: Known?
    /// The route and the beginning of the request that waits for its answer.
    private var answering: (path: String, start: ContinuousClock.Instant)?
    /// Whether the head of a request was told to the client's pace, while its body is still coming.
    private var isBodyDue = false
    /// Whether the end of a head was looked for in all that is held.
    private var isHeadDue = false
    private var hasPassed = false
    private var holdsRead = false
    private var heldEvents: [Any] = []

    init(_ around: Surroundings, client: SlowClientHandler, channel: any Channel) {
        self.around = around
        self.client = client
        mailbox = around.mailboxes.mailbox(of: channel.eventLoop)
        caller = RateLimiter.key(address: channel.remoteAddress?.ipAddress ?? "unknown")
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .passing = mode {
            hasPassed = true
            return context.fireChannelRead(data)
        }
        var bytes = unwrapInboundIn(data)
        if isBodyDue { client.receivedBody(bytes: bytes.readableBytes) }
        if held.readableBytes == 0 {
            held = bytes
        } else {
            // A head is read from its beginning, so one that comes bit by bit is read when it may have ended, not with
            // every bit: a thousand slow clients with a line each would keep everybody waiting.
            let place = max(0, held.readableBytes - 2)
            held.writeBuffer(&bytes)
            if isHeadDue, held.readableBytes < PlainHead.largest, !held.mayEndHead(from: place) { return }
        }
        if answering == nil { goOn(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard hasPassed else { return }
        hasPassed = false
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        held = ByteBuffer()
        context.fireChannelInactive()
    }

    // MARK: Whole requests

    /// Takes from what is held as many requests as can be taken now.
    private func goOn(_ context: ChannelHandlerContext) {
        while answering == nil, held.readableBytes > 0 {
            switch mode {
            case .passing: return passAll(context)
            case .passingBody(let left):
                let count = min(left, held.readableBytes)
                mode = count < left ? .passingBody(left: left - count) : .atRequest
                pass(count, context)
            case .atRequest:
                guard takeRequest(context) else { return }
            }
        }
    }

    /// Takes the next request, or lets it pass; false while more of it must come.
    private func takeRequest(_ context: ChannelHandlerContext) -> Bool {
        guard let known = readHead() else {
            if case .passing = mode {
                passAll(context)
                return true
            }
            return false
        }
        let size = known.head.size + known.head.bodySize
        guard let handler = known.handler, client.open == 0 else {
            passRequest(size, context)
            return true
        }
        if held.readableBytes < size {
            if !isBodyDue { client.receivedHead() }
            isBodyDue = true
            return false
        }
        if !isBodyDue { client.receivedHead() }
        isBodyDue = false
        client.receivedEnd()
        answer(known.head, handler, context)
        return true
    }

    /// The head at the beginning of what is held. Nil where more of it must come; and where it isn't plain, and then all
    /// is to pass.
    private func readHead() -> Known? {
        if let known, held.begins(with: known.bytes) {
            isHeadDue = false
            return known
        }
        isHeadDue = false
        switch held.withUnsafeReadableBytes({ PlainHead.read($0) }) {
        case .incomplete:
            isHeadDue = true
            return nil
        case .irregular:
            mode = .passing
            return nil
        case .head(let head):
            guard let bytes = held.getSlice(at: held.readerIndex, length: head.size) else { return nil }
            let read = Known(
                bytes: ByteBuffer(bytes: bytes.readableBytesView), head: head,
                handler: around.routes.handler(for: head))
            known = read
            return read
        }
    }

    private func answer(_ head: PlainHead, _ handler: DirectHandler, _ context: ChannelHandlerContext) {
        answering = (head.path, .now)
        do {
            try around.limiter.check(key: caller)
        } catch {
            held.moveReaderIndex(forwardBy: head.size + head.bodySize)
            return respond({ throw error }, context)
        }
        let body = held.getBytes(at: held.readerIndex + head.size, length: head.bodySize) ?? []
        let lane = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let mailbox = mailbox
        let isTaken = handler(DirectRequest(head: head, body: body)) { answering in
            mailbox.post { lane.value.0.respondAndGoOn(answering, lane.value.1) }
        }
        if isTaken {
            held.moveReaderIndex(forwardBy: head.size + head.bodySize)
            if held.readableBytes == 0 { held = ByteBuffer() }
        } else {
            answering = nil
            passRequest(head.size + head.bodySize, context)
        }
    }

    private func respondAndGoOn(_ answering: DirectAnswering, _ context: ChannelHandlerContext) {
        respond(answering, context)
        goOn(context)
        guard self.answering == nil else { return }
        let events = heldEvents
        heldEvents = []
        for event in events { userInboundEventTriggered(context: context, event: event) }
        if hasPassed { channelReadComplete(context: context) }
        if holdsRead {
            holdsRead = false
            context.read()
        }
    }

    private func respond(_ make: DirectAnswering, _ context: ChannelHandlerContext) {
        guard let (path, start) = answering else { return }
        answering = nil
        var answer: DirectAnswer
        do {
            answer = try make()
        } catch {
            answer = .response(around.edge.answer(error, method: .post, route: path, path: path))
        }
        let head: [UInt8]
        let status: HTTPResponse.Status
        let body: [UInt8]
        switch answer {
        case .repeated(let repeated, let bytes):
            (status, head, body) = (repeated.status, repeated.head, bytes)
        case .response(let response):
            (status, body) = (response.status, response.body)
            head = RepeatedAnswer.head(status: status, headers: response.headers)
        }
        around.edge.record(.post, route: path, status: status, took: .now - start)
        guard context.channel.isActive else { return }
        var bytes = context.channel.allocator.buffer(capacity: head.count + body.count + 16)
        bytes.writeBytes(head)
        bytes.writeString(String(body.count))
        bytes.writeStaticString("\r\n\r\n")
        bytes.writeBytes(body)
        client.wrote(bytes: bytes.readableBytes)
        client.answered()
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: What passes

    /// Lets a request of known size pass, as far as it is there.
    private func passRequest(_ size: Int, _ context: ChannelHandlerContext) {
        // What was told of it here is told again by the usual way.
        isBodyDue = false
        let count = min(size, held.readableBytes)
        if count < size { mode = .passingBody(left: size - count) }
        pass(count, context)
    }

    private func pass(_ count: Int, _ context: ChannelHandlerContext) {
        guard let bytes = held.readSlice(length: count) else { return }
        if held.readableBytes == 0 { held = ByteBuffer() }
        hasPassed = true
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    private func passAll(_ context: ChannelHandlerContext) {
        pass(held.readableBytes, context)
    }

    func read(context: ChannelHandlerContext) {
        if answering != nil, held.readableBytes > Self.heldBytes {
            holdsRead = true
        } else {
            context.read()
        }
    }

    /// That a client has sent its last, or that the server is to stop, must not end the connection before the answer.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if answering != nil {
            heldEvents.append(event)
            return
        }
        if event as? ChannelEvent == .inputClosed, held.readableBytes > 0 {
            // A request that will never be whole is for the parser to refuse.
            mode = .passing
            passAll(context)
            hasPassed = false
            context.fireChannelReadComplete()
        }
        context.fireUserInboundEventTriggered(event)
    }
}

extension ByteBuffer {
    /// Whether there is an empty line behind a place, with or without the CR that belongs to it: where there is none, no
    /// reader of HTTP takes the head for ended.
    fileprivate func mayEndHead(from place: Int) -> Bool {
        withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return false }
            var place = place
            while place < bytes.count,
                let found = memchr(base + place, Int32(UInt8(ascii: "\n")), bytes.count - place)
            {
                place = found - UnsafeMutableRawPointer(mutating: base) + 1
                if place < bytes.count, bytes[place] == UInt8(ascii: "\n") { return true }
                if place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\r"),
                    bytes[place + 1] == UInt8(ascii: "\n")
                {
                    return true
                }
            }
            return false
        }
    }

    fileprivate func begins(with other: ByteBuffer) -> Bool {
        withUnsafeReadableBytes { bytes in
            other.withUnsafeReadableBytes { other in
                guard bytes.count >= other.count, let left = bytes.baseAddress, let right = other.baseAddress
                else { return false }
                return memcmp(left, right, other.count) == 0
            }
        }
    }
}

/// Puts the lane into its place once Hummingbird has set the connection up.
final class DirectLaneInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let around: DirectLane.Surroundings
    private let client: SlowClientHandler

    init(_ around: DirectLane.Surroundings, client: SlowClientHandler) {
        self.around = around
        self.client = client
    }

    func channelActive(context: ChannelHandlerContext) {
        install(context)
        context.fireChannelActive()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        install(context)
    }

    private func install(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        guard (try? pipeline.handler(type: DirectLane.self)) == nil else { return }
        // Without it everything goes the usual way.
        try? pipeline.addHandler(
            DirectLane(around, client: client, channel: context.channel), position: .first)
    }
}
