import Models
import Synchronization

/// Lets facts go first: tells when everything is processed that had been appended when it was first asked.
///
/// What comes in the meantime does not count, so that a stream that never pauses holds nobody up for ever. A
/// publisher that is away holds nobody up either: then no fact is known to be waiting.
package final class FactsFirst: Sendable {
    private struct Mark {
        let heads: [[Shard: Int64]]
        var askedAt: ContinuousClock.Instant
    }

    /// A mark that nobody came back for says nothing about a later question.
    private static let lifetime: Duration = .seconds(30)

    private let consumers: [StreamConsumer]
    private let mark = Mutex<Mark?>(nil)

    package init(_ consumers: [StreamConsumer]) { self.consumers = consumers }

    /// Whether all that was there at the first question is processed; to be asked again until it is.
    package func haveBeenProcessed() async throws -> Bool {
        let mark = try await currentMark()
        for (consumer, heads) in zip(consumers, mark.heads) {
            guard try await consumer.hasProcessed(heads) else { return false }
        }
        self.mark.withLock { $0 = nil }
        return true
    }

    /// Returns when all that is there now is processed.
    func wait() async throws {
        mark.withLock { $0 = nil }
        var pause = 2
        while try await !haveBeenProcessed() {
            try await Task.sleep(for: .milliseconds(pause))
            pause = min(50, pause * 2)
        }
    }

    private func currentMark() async throws -> Mark {
        let known = mark.withLock { mark -> Mark? in
            guard let known = mark, ContinuousClock.now - known.askedAt < Self.lifetime else { return nil }
            mark?.askedAt = .now
            return known
        }
        if let known { return known }
        var heads: [[Shard: Int64]] = []
        for consumer in consumers { heads.append(await consumer.publishedHeads()) }
        let fresh = Mark(heads: heads, askedAt: .now)
        mark.withLock { $0 = fresh }
        return fresh
    }
}
