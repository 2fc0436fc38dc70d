import Hummingbird
import Logging
import Metrics
import Models
import NIOCore
import NIOHTTPTypes

/// Closes the connection of a client that is slower than ``ClientPatience`` allows. Hummingbird's own limit is for
/// idle connections alone: a byte now and then, in or out, satisfies it for ever; and it doesn't see what the direct
/// lane answers, which tells this handler instead.
final class SlowClientHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let patience: ClientPatience
    private let logger: Logger
    private var pace: ClientPace
    /// Whether the service has asked for more, and nothing has come yet.
    private var isAwaited = false
    /// Requests that took the usual way and have no complete answer yet.
    private(set) var open = 0
    private var lookedAt = ContinuousClock.now
    private var next: Scheduled<Void>?

    init(_ patience: ClientPatience, logger: Logger) {
        self.patience = patience
        self.logger = logger
        pace = ClientPace(patience)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { schedule(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        schedule(context)
        context.fireChannelActive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { next?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        next?.cancel()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        isAwaited = true
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isAwaited = false
        switch unwrapInboundIn(data) {
        case .head:
            open += 1
            pace.receivedHead()
        case .body(let bytes): pace.receivedBody(bytes: bytes.readableBytes)
        case .end: pace.receivedEnd()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head: break
        case .body(let bytes): pace.wrote(bytes: bytes.readableBytes)
        case .end:
            open = max(0, open - 1)
            if open == 0 { pace.answered() }
        }
        context.write(data, promise: promise)
    }

    // MARK: What the direct lane tells of requests that never get here

    func receivedHead() { pace.receivedHead() }
    func receivedBody(bytes: Int) { pace.receivedBody(bytes: bytes) }
    func receivedEnd() { pace.receivedEnd() }
    func wrote(bytes: Int) { pace.wrote(bytes: bytes) }
    func answered() { pace.answered() }

    // MARK: Looking

    private func schedule(_ context: ChannelHandlerContext) {
        next?.cancel()
        next = context.eventLoop.assumeIsolated().scheduleTask(
            in: .nanoseconds(patience.interval.milliseconds * 1_000_000)
        ) {
            self.look(context)
        }
    }

    private func look(_ context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        let now = ContinuousClock.now
        let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let slowness = pace.look(after: now - lookedAt, isAwaited: isAwaited, unsent: unsent)
        lookedAt = now
        guard let slowness else { return schedule(context) }
        if slowness == .idle { return context.close(promise: nil) }
        Counter(label: "martlet_http_slow_clients_total", dimensions: [("slow", slowness.rawValue)])
            .increment()
        logger.debug("a client was too slow", metadata: ["slow": "\(slowness.rawValue)"])
        context.close(promise: nil)
    }
}
