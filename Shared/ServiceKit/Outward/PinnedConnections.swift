import AsyncHTTPClient
import NIOCore
import Synchronization

/// Connections that stay open between calls, each kind of them to one host at one address that was checked.
final class PinnedConnections: Sendable {
    struct Key: Hashable, Sendable {
        var isSecure: Bool
        /// As it stands in a URL.
        var host: String
        var port: Int?
        var address: IPAddress
    }

    private struct Entry {
        var connection: PinnedConnection
        var usedAt: ContinuousClock.Instant
    }

    /// Reading the machine's certificates costs 10 ms, so the last so many are kept.
    private static let capacity = 128
    private static let lifetime: Duration = .seconds(60)

    private let entries = Mutex<[Key: Entry]>([:])

    func connection(_ key: Key, make: () -> HTTPClient.Configuration) -> PinnedConnection {
        entries.withLock { entries in
            let now = ContinuousClock.now
            entries = entries.filter { now - $0.value.usedAt < Self.lifetime }
            if let known = entries[key]?.connection {
                entries[key]?.usedAt = now
                return known
            }
            if entries.count >= Self.capacity {
                let oldest = entries.min { $0.value.usedAt < $1.value.usedAt }
                if let oldest { entries[oldest.key] = nil }
            }
            let made = PinnedConnection(make())
            entries[key] = Entry(connection: made, usedAt: now)
            return made
        }
    }
}

/// A client that is let go with the last who uses it.
final class PinnedConnection: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }
}
