import IngestionDomain
import Metrics
import Models
import Postgres
import ServiceKit
import Synchronization

/// Writes what requests bring, many of them in one transaction: while one transaction commits, the next group
/// gathers. Nobody is answered before the commit. Where much comes in, two write in turns: while the events of one are
/// stored, the keys of the other's are taken.
final class EventWriter: Sendable {
    /// One item, as far as it could be read.
    enum Item: Sendable {
        case event(ReadyEvent)
        case quarantined(QuarantinedItem)
        case refused(Refusal, messageID: String?)

        var messageID: String? {
            switch self {
            case .event(let event): event.key.messageID
            case .quarantined(let item): item.hints.messageID
            case .refused(_, let messageID): messageID
            }
        }
    }

    /// What one request brought.
    struct Delivery: Sendable {
        let sourceID: SourceID
        let receivedAt: Instant
        let traceparent: String?
        var items: [Item]
        /// The request of a webhook that brought them.
        var webhook: AcceptedWebhook?
    }

    private struct Waiting {
        let delivery: Delivery
        let completion: @Sendable (Result<[Verdict], any Error>) -> Void
    }

    private struct State {
        var queue: [Waiting] = []
        var items = 0
        /// How many write.
        var writers = 0
        /// The writer, while it waits for the queue to have so many.
        var gathering: (count: Int, number: Int, continuation: CheckedContinuation<Void, Never>)?
        var gatherings = 0
    }

    /// Items in one transaction, unless a single request brings more.
    private static let groupItems = 2000
    /// So many items that wait are worth a second writer; fewer are better committed together.
    private static let muchItems = 300
    /// A write that takes less is not worth waiting for: the next requests are read while it runs.
    private static let quickWrite: Duration = .milliseconds(3)
    /// The longest that a group is waited for.
    private static let gatherLimit: Duration = .milliseconds(5)

    private let log: EventLog
    private let capacity: Int
    private let state = Mutex(State())

    init(log: EventLog, capacity: Int) {
        self.log = log
        self.capacity = capacity
    }

    /// Returns the verdicts of the items in their order, once they are committed. Throws 503 at once when too much
    /// waits already, and `WebhookAcceptedMeanwhile` for a request of a webhook that came before.
    func write(_ delivery: Delivery) async throws -> [Verdict] {
        try await withCheckedThrowingContinuation { continuation in
            write(delivery) { continuation.resume(with: $0) }
        }
    }

    /// The same with a completion, which is called once.
    func write(_ delivery: Delivery, completion: @escaping @Sendable (Result<[Verdict], any Error>) -> Void) {
        if delivery.items.isEmpty, delivery.webhook == nil { return completion(.success([])) }
        // What is turned away costs no sealing: it comes when there is too much to do already.
        guard state.withLock({ hasRoom(for: delivery.items.count, $0) }) else {
            return completion(.failure(Self.tooMuch))
        }
        enqueue(Waiting(delivery: log.sealed(delivery), completion: completion))
    }

    /// A single request that brings more than may wait is taken when nothing does.
    private func hasRoom(for items: Int, _ state: State) -> Bool {
        state.queue.isEmpty || state.items + items <= capacity
    }

    private static let tooMuch = Problem.unavailable(
        "more comes in than can be written; send the same again a little later")

    private func enqueue(_ waiting: Waiting) {
        let items = waiting.delivery.items.count
        let (isTaken, starts, gathered) = state.withLock { state in
            guard hasRoom(for: items, state) else {
                return (false, false, nil as CheckedContinuation<Void, Never>?)
            }
            state.queue.append(waiting)
            state.items += items
            if let gathering = state.gathering {
                guard state.queue.count >= gathering.count || state.items >= Self.muchItems else {
                    return (true, false, nil)
                }
                state.gathering = nil
                return (true, false, gathering.continuation)
            }
            let starts = state.writers == 0 || state.writers == 1 && state.items >= Self.muchItems
            if starts { state.writers += 1 }
            return (true, starts, nil)
        }
        if !isTaken {
            waiting.completion(.failure(Self.tooMuch))
        }
        gathered?.resume()
        if starts { Task { await self.writeAll() } }
    }

    private func writeAll() async {
        var last = (count: 1, took: Duration.zero)
        while true {
            if last.took > Self.quickWrite {
                await gather(last.count, atMost: min(last.took / 2, Self.gatherLimit))
            }
            let group = takeGroup()
            if group.isEmpty { return }
            let start = ContinuousClock.now
            await write(group)
            last = (group.count, .now - start)
        }
    }

    /// Waits until as many requests are there as the last group had, for half the time that it took to write at most:
    /// senders that were answered together send again together, and one commit for all is worth more than a quick one
    /// for the first of them. Whoever sends alone is never made to wait.
    private func gather(_ count: Int, atMost limit: Duration) async {
        guard count > 1, state.withLock({ $0.queue.count < count }) else { return }
        await withCheckedContinuation { continuation in
            let number: Int? = state.withLock { state in
                guard state.queue.count < count, state.writers == 1 else { return nil }
                state.gatherings += 1
                state.gathering = (count, state.gatherings, continuation)
                return state.gatherings
            }
            guard let number else { return continuation.resume() }
            Task {
                try? await Task.sleep(for: limit)
                self.endGathering(number)
            }
        }
    }

    private func endGathering(_ number: Int) {
        let continuation: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard state.gathering?.number == number else { return nil }
            defer { state.gathering = nil }
            return state.gathering?.continuation
        }
        continuation?.resume()
    }

    /// The next group; none when nothing waits that another doesn't see to, and then the writer is done.
    private func takeGroup() -> [Waiting] {
        state.withLock { state in
            var items = 0
            let size =
                state.queue.prefix { waiting in
                    items += waiting.delivery.items.count
                    return items <= Self.groupItems
                }.count
            if state.queue.isEmpty || state.writers > 1 && state.items < Self.muchItems {
                state.writers -= 1
                return []
            }
            let group = Array(state.queue.prefix(max(1, size)))
            state.queue.removeFirst(group.count)
            state.items -= group.reduce(0) { $0 + $1.delivery.items.count }
            return group
        }
    }

    private func write(_ group: [Waiting]) async {
        do {
            let verdicts = try await log.append(group.map(\.delivery))
            for (waiting, verdicts) in zip(group, verdicts) {
                guard let verdicts else {
                    waiting.completion(.failure(WebhookAcceptedMeanwhile()))
                    continue
                }
                Self.count(verdicts)
                waiting.completion(.success(verdicts))
            }
        } catch let error as PostgresError where group.count > 1 && !error.isTransient {
            // What the database will never take must not fail those who happened to come along with it.
            for waiting in group { await write([waiting]) }
        } catch {
            for waiting in group { waiting.completion(.failure(error)) }
        }
    }

    private static let accepted = Counter(
        label: "martlet_ingestion_items_total", dimensions: [("verdict", "accepted")])
    private static let duplicate = Counter(
        label: "martlet_ingestion_items_total", dimensions: [("verdict", "duplicate")])
    private static let quarantined = Counter(
        label: "martlet_ingestion_items_total", dimensions: [("verdict", "quarantined")])
    private static let refused = Counter(
        label: "martlet_ingestion_items_total", dimensions: [("verdict", "refused")])

    /// Counts verdicts in the metrics.
    static func count(_ verdicts: [Verdict]) {
        var counts = ReconciliationCounts.Count()
        for verdict in verdicts { counts.add(verdict) }
        if counts.accepted > 0 { accepted.increment(by: counts.accepted) }
        if counts.duplicate > 0 { duplicate.increment(by: counts.duplicate) }
        if counts.quarantined > 0 { quarantined.increment(by: counts.quarantined) }
        if counts.refused > 0 { refused.increment(by: counts.refused) }
    }
}
