import IngestionDomain
import Models
import Postgres
import ServiceKit
import Streams

/// The raw event log: appends what is new, once, and counts everything.
struct EventLog: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    /// For how long a message key is remembered.
    let window: Duration
    private let stream = StreamWriter(.events)

    init(pool: PostgresPool, clock: ServiceClock, window: Duration) {
        self.pool = pool
        self.clock = clock
        self.window = window
    }

    /// Appends the deliveries in one transaction; the verdicts are true when this returns. There are none for a
    /// request of a webhook that was accepted before.
    func append(_ deliveries: [EventWriter.Delivery]) async throws -> [[Verdict]?] {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let isNew = try await WebhookDeliveryStore.accept(
                deliveries.map(\.webhook), at: now, in: transaction)
            let new = zip(deliveries, isNew).filter(\.1).map(\.0)
            var verdicts = try await append(new, at: now, in: transaction)[...]
            return isNew.map { $0 ? verdicts.popFirst() : nil }
        }
    }

    /// Appends the deliveries in the caller's transaction; the verdicts are true once that commits.
    func append(
        _ deliveries: [EventWriter.Delivery], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [[Verdict]] {
        let events = deliveries.flatMap { delivery in
            delivery.items.compactMap { item in
                if case .event(let event) = item { LoggedEvent(event, delivery.traceparent) } else { nil }
            }
        }
        var fresh = try await log(events, at: now, in: transaction)
        var kept = try await keep(deliveries, in: transaction)
        var counts = ReconciliationCounts()
        let verdicts = deliveries.map { delivery in
            let verdicts = delivery.items.map { item -> Verdict in
                switch item {
                case .refused(let refusal, _): .refused(refusal)
                // The first of several with one key is the one that counts.
                case .event(let event): fresh.remove(MessageKey(event)) == nil ? .duplicate : .accepted
                case .quarantined(let item):
                    kept.remove(DigestKey(item)) == nil ? .duplicate : .quarantined(item.refusal)
                }
            }
            counts.add(verdicts, source: delivery.sourceID, at: delivery.receivedAt)
            return verdicts
        }
        try await ReconciliationStore.add(counts, in: transaction)
        return verdicts
    }

    private func keep(
        _ deliveries: [EventWriter.Delivery], in transaction: PostgresTransaction
    ) async throws -> Set<DigestKey> {
        var items: [QuarantinedItem] = []
        var traceparents: [String?] = []
        for delivery in deliveries {
            for case .quarantined(let item) in delivery.items {
                items.append(item)
                traceparents.append(delivery.traceparent)
            }
        }
        return try await QuarantineStore.keep(items, traceparents: traceparents, in: transaction)
    }

    /// An event with the trace that it belongs to.
    struct LoggedEvent: Sendable {
        let event: TrackingEvent
        let traceparent: String?

        init(_ event: TrackingEvent, _ traceparent: String?) {
            (self.event, self.traceparent) = (event, traceparent)
        }
    }

    /// Appends the events that are new, each once, and returns their keys.
    func log(
        _ events: [LoggedEvent], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Set<MessageKey> {
        let fresh = try await claim(events, in: transaction)
        var left = fresh
        var records: [NewRecord] = []
        for logged in events where left.remove(MessageKey(logged.event)) != nil {
            let subject = logged.event.subjectKey
            records.append(
                NewRecord(
                    shard: Shard(hashing: subject), key: subject, body: logged.event.json,
                    traceparent: logged.traceparent))
        }
        try await stream.append(records, at: now, in: transaction)
        return fresh
    }

    /// Takes the message keys that nobody has yet, or had before the window began, and returns them.
    private func claim(
        _ events: [LoggedEvent], in transaction: PostgresTransaction
    ) async throws -> Set<MessageKey> {
        var keys: [MessageKey: Instant] = [:]
        for logged in events where keys[MessageKey(logged.event)] == nil {
            keys[MessageKey(logged.event)] = logged.event.receivedAt
        }
        if keys.isEmpty { return [] }
        // In one order for all writers, so that two that bring the same keys wait and don't deadlock.
        let ordered = keys.sorted { $0.key < $1.key }
        let rows = try await transaction.query(
            """
            INSERT INTO message_key AS k (shard, source_id, message_id, received_at)
            SELECT * FROM unnest(\(ordered.map(\.key.shard))::smallint[], \(ordered.map(\.key.sourceID))::uuid[],
                \(ordered.map(\.key.messageID))::text[], \(ordered.map(\.value))::timestamptz[])
            ON CONFLICT (shard, source_id, message_id) DO UPDATE SET received_at = excluded.received_at
            WHERE k.received_at < excluded.received_at - make_interval(secs => \(Double(window.milliseconds) / 1000))
            RETURNING source_id, message_id
            """)
        return Set(
            try rows.map {
                MessageKey(sourceID: try $0.get("source_id"), messageID: try $0.get("message_id"))
            })
    }
}

/// What makes an event one and the same.
struct MessageKey: Hashable, Comparable, Sendable {
    let shard: Shard
    let sourceID: SourceID
    let messageID: String

    init(sourceID: SourceID, messageID: String) {
        shard = Shard(hashing: messageID)
        self.sourceID = sourceID
        self.messageID = messageID
    }

    init(_ event: TrackingEvent) {
        self.init(sourceID: event.sourceID, messageID: event.messageID)
    }

    // By bytes, because strings that look alike are one to Swift and two to the database.
    static func == (left: MessageKey, right: MessageKey) -> Bool {
        left.sourceID == right.sourceID && left.messageID.utf8.elementsEqual(right.messageID.utf8)
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(sourceID)
        for byte in messageID.utf8 { hasher.combine(byte) }
    }

    static func < (left: MessageKey, right: MessageKey) -> Bool {
        if left.shard != right.shard { return left.shard < right.shard }
        if left.sourceID != right.sourceID { return left.sourceID < right.sourceID }
        return left.messageID.precedesInUTF8(right.messageID)
    }
}
