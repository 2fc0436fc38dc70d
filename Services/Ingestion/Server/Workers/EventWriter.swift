import IngestionDomain
import Metrics
import Models
import Postgres
import ServiceKit

/// Writes what requests bring, many of them in one transaction: while one transaction commits, the next group
/// gathers. Nobody is answered before the commit.
actor EventWriter {
    /// One item, as far as it could be read.
    enum Item: Sendable {
        case event(TrackingEvent)
        case quarantined(QuarantinedItem)
        case refused(Refusal, messageID: String?)

        var messageID: String? {
            switch self {
            case .event(let event): event.messageID
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
        let items: [Item]
        /// The request of a webhook that brought them.
        var webhook: AcceptedWebhook?
    }

    private struct Waiting {
        let delivery: Delivery
        let continuation: CheckedContinuation<[Verdict], any Error>
    }

    /// Items in one transaction, unless a single request brings more.
    private static let groupItems = 2000

    private let log: EventLog
    private let capacity: Int
    private var queue: [Waiting] = []
    private var queuedItems = 0
    private var isWriting = false

    init(log: EventLog, capacity: Int) {
        self.log = log
        self.capacity = capacity
    }

    /// Returns the verdicts of the items in their order, once they are committed. Throws 503 at once when too much
    /// waits already, and `WebhookAcceptedMeanwhile` for a request of a webhook that came before.
    func write(_ delivery: Delivery) async throws -> [Verdict] {
        if delivery.items.isEmpty, delivery.webhook == nil { return [] }
        guard queue.isEmpty || queuedItems + delivery.items.count <= capacity else {
            throw Problem.unavailable("more comes in than can be written; send the same again a little later")
        }
        let verdicts = try await withCheckedThrowingContinuation { continuation in
            queue.append(Waiting(delivery: delivery, continuation: continuation))
            queuedItems += delivery.items.count
            if !isWriting {
                isWriting = true
                Task { await self.writeAll() }
            }
        }
        Self.count(verdicts)
        return verdicts
    }

    private func writeAll() async {
        while !queue.isEmpty { await write(takeGroup()) }
        isWriting = false
    }

    private func takeGroup() -> [Waiting] {
        var items = 0
        let size =
            queue.prefix { waiting in
                items += waiting.delivery.items.count
                return items <= Self.groupItems
            }.count
        let group = Array(queue.prefix(max(1, size)))
        queue.removeFirst(group.count)
        queuedItems -= group.reduce(0) { $0 + $1.delivery.items.count }
        return group
    }

    private func write(_ group: [Waiting]) async {
        do {
            let verdicts = try await log.append(group.map(\.delivery))
            for (waiting, verdicts) in zip(group, verdicts) {
                if let verdicts {
                    waiting.continuation.resume(returning: verdicts)
                } else {
                    waiting.continuation.resume(throwing: WebhookAcceptedMeanwhile())
                }
            }
        } catch let error as PostgresError where group.count > 1 && !error.isTransient {
            // What the database will never take must not fail those who happened to come along with it.
            for waiting in group { await write([waiting]) }
        } catch {
            for waiting in group { waiting.continuation.resume(throwing: error) }
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
        for verdict in verdicts {
            switch verdict {
            case .accepted: accepted.increment()
            case .duplicate: duplicate.increment()
            case .quarantined: quarantined.increment()
            case .refused: refused.increment()
            }
        }
    }
}
