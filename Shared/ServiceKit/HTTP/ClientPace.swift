import Models

/// For how long a client may make a service wait: for the head of its first request, and for a body or the reading of
/// an answer a grace and then a minimum rate, much as in Apache's `mod_reqtimeout`. A client that is merely slow (a phone
/// in a tunnel) keeps its connection; one that trickles bytes to hold it doesn't.
package struct ClientPatience: Sendable {
    /// From connecting to the whole head of the first request.
    package var head: Duration
    /// Between requests on one connection.
    package var idle: Duration
    /// What a body, or the reading of an answer, may take whatever its size.
    package var grace: Duration
    /// What must come, or be read, in each further second.
    package var bytesPerSecond: Int

    package init(
        head: Duration = .seconds(20), idle: Duration = .seconds(60), grace: Duration = .seconds(20),
        bytesPerSecond: Int = 500
    ) {
        self.head = head
        self.idle = idle
        self.grace = grace
        self.bytesPerSecond = bytesPerSecond
    }

    /// `MARTLET_HTTP_HEAD_TIMEOUT`, `MARTLET_HTTP_IDLE_TIMEOUT`, `MARTLET_HTTP_GRACE`, `MARTLET_HTTP_MINIMUM_RATE`.
    init(_ settings: ServiceSettings) throws(SettingsError) {
        let usual = ClientPatience()
        self.init(
            head: try settings.duration("HTTP_HEAD_TIMEOUT", default: usual.head),
            idle: try settings.duration("HTTP_IDLE_TIMEOUT", default: usual.idle),
            grace: try settings.duration("HTTP_GRACE", default: usual.grace),
            bytesPerSecond: try settings.int(
                "HTTP_MINIMUM_RATE", in: 1...1_000_000_000, default: usual.bytesPerSecond))
    }

    /// How often to look: a client is let go at most a quarter later than it should be.
    var interval: Duration { max(min(head, grace, idle) / 4, .milliseconds(20)) }
}

/// What one connection's client has done in its time. Only the time counts in which the service waits for the client,
/// not that in which the client waits for the service.
package struct ClientPace: Sendable {
    /// What a client was too slow with.
    package enum Slowness: String, Sendable {
        case head, body, reading
        /// With the next request, after all were answered.
        case idle
    }

    /// A wait for bytes that come, or are taken. Bytes buy time, and never more than the grace: what came fast is no
    /// leave to stand still.
    private struct Wait {
        var left: Duration
        var bytes = 0

        init(_ patience: ClientPatience) { left = patience.grace }

        mutating func isOver(after elapsed: Duration, _ patience: ClientPatience) -> Bool {
            left = min(patience.grace, left + .seconds(bytes) / patience.bytesPerSecond) - elapsed
            bytes = 0
            return left < .zero
        }
    }

    private let patience: ClientPatience
    /// The wait for the head of the first request.
    private var head: Duration? = .zero
    /// The wait for another request.
    private var idle: Duration?
    /// The wait for the body of a request.
    private var body: Wait?
    /// The wait for an answer to be taken.
    private var reading: Wait?
    /// Bytes of answers that the client had not taken when last looked at, and those handed over since.
    private var untaken = 0

    package init(_ patience: ClientPatience) {
        self.patience = patience
    }

    package mutating func receivedHead() { (head, idle, body) = (nil, nil, Wait(patience)) }
    package mutating func receivedBody(bytes: Int) { body?.bytes += bytes }
    package mutating func receivedEnd() { body = nil }

    /// All requests are answered.
    package mutating func answered() { idle = .zero }

    /// Bytes of an answer were handed over for sending.
    package mutating func wrote(bytes: Int) { untaken += bytes }

    /// What the client is too slow with after `elapsed` more time; nil while it may go on. `isAwaited`: the service is
    /// reading; `unsent`: so many bytes of an answer are not taken by the client yet.
    package mutating func look(after elapsed: Duration, isAwaited: Bool, unsent: Int) -> Slowness? {
        if unsent > 0 {
            var wait = reading ?? Wait(patience)
            wait.bytes += max(0, untaken - unsent)
            let isOver = wait.isOver(after: elapsed, patience)
            reading = wait
            if isOver { return .reading }
        } else {
            reading = nil
        }
        untaken = unsent
        if let waited = head {
            head = waited + elapsed
            if waited + elapsed >= patience.head { return .head }
        }
        if let waited = idle, unsent == 0 {
            idle = waited + elapsed
            if waited + elapsed >= patience.idle { return .idle }
        }
        return isAwaited && body?.isOver(after: elapsed, patience) == true ? .body : nil
    }
}
