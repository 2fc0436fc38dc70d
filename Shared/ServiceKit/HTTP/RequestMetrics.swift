import HTTPTypes
import Metrics
import Synchronization

/// Counts and times requests. Instruments are looked up by their labels once, because building the labels costs more
/// than a small request.
final class RequestMetrics: Sendable {
    private struct Key: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    private struct Instruments {
        let requests: Counter
        let duration: Metrics.Timer
    }

    /// Whatever else callers make up is one method, so that they can't fill the registry.
    private static let methods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .patch, .delete, .options,
    ]

    private let instruments = Mutex<[Key: Instruments]>([:])

    func record(_ method: HTTPRequest.Method, route: String, status: HTTPResponse.Status, took: Duration) {
        let key = Key(
            method: Self.methods.contains(method) ? method.rawValue : "other", route: route,
            status: status.code)
        let known = instruments.withLock { $0[key] }
        let instruments = known ?? make(key)
        instruments.requests.increment()
        instruments.duration.recordNanoseconds(took.nanoseconds)
    }

    private func make(_ key: Key) -> Instruments {
        let made = Instruments(
            requests: Counter(
                label: "martlet_http_requests_total",
                dimensions: [("method", key.method), ("route", key.route), ("status", "\(key.status)")]),
            duration: Metrics.Timer(
                label: "martlet_http_request_duration_seconds", dimensions: [("route", key.route)]))
        instruments.withLock { $0[key] = made }
        return made
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
