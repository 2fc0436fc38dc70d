import ServiceKit
import Synchronization

/// How many histories are folded at a time because somebody asks for computed traits: each keeps a processor and a
/// connection busy, which events need as well.
final class TraitFolding: Sendable {
    private let underWay = Mutex(0)
    private static let atATime = 3

    /// Does it, unless there are as many already: a 429.
    func folded<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        let hasRoom = underWay.withLock { count in
            guard count < Self.atATime else { return false }
            count += 1
            return true
        }
        guard hasRoom else {
            throw Problem.tooManyRequests(
                retryAfterSeconds: 1, "other computed traits are being worked out; ask again in a second")
        }
        defer { underWay.withLock { $0 -= 1 } }
        return try await body()
    }
}
