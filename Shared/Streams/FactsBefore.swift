package import Models
package import Postgres
import Synchronization

/// Lets what is done once wait for everything that a stream held when it was first asked for, and tells how far the
/// stream is taken in when it is done.
///
/// Unlike with ``FactsFirst`` each that waits has a mark of its own, which stands for as long as it takes, and a
/// publisher that is away is waited for: what it holds is to be taken in first.
package final class FactsBefore<Waiting: Hashable & Sendable>: Sendable {
    /// Marks of those that went on elsewhere are in nobody's way, but they are not to become many.
    private static var most: Int { 1_000 }

    private let consumer: StreamConsumer
    private let marks = Mutex<[Waiting: [Shard: Int64]]>([:])

    package init(_ consumer: StreamConsumer) { self.consumer = consumer }

    /// Whether all that was there when this was first asked of `waiting` is processed; to be asked again until it is.
    package func haveBeenProcessed(
        before waiting: Waiting, in session: some PostgresSession
    ) async throws -> Bool {
        let mark = try await mark(of: waiting)
        let positions = try await positions(in: session)
        guard mark.allSatisfy({ (positions[$0.key] ?? 0) >= $0.value }) else { return false }
        marks.withLock { $0[waiting] = nil }
        return true
    }

    /// Up to where each shard is processed, as the session sees it.
    package func positions(in session: some PostgresSession) async throws -> [Shard: Int64] {
        try await consumer.processed(in: session)
    }

    private func mark(of waiting: Waiting) async throws -> [Shard: Int64] {
        if let known = marks.withLock({ $0[waiting] }) { return known }
        let heads: [Shard: Int64]
        do {
            heads = try await consumer.heads()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw RetryLater("it is not known what \(consumer.stream.name) holds: \(type(of: error))")
        }
        marks.withLock { marks in
            if marks.count >= Self.most { marks = [:] }
            marks[waiting] = heads
        }
        return heads
    }
}
