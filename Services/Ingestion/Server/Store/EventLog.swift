import IngestionDomain
import Models
import Postgres
import ServiceKit
import Streams

/// The raw event log: appends what is new, once, and counts everything.
struct EventLog: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    private let stream = StreamWriter(.events)

    init(pool: PostgresPool, clock: ServiceClock) {
        self.pool = pool
        self.clock = clock
    }

    /// Appends the deliveries in one transaction; the verdicts are true when this returns.
    func append(_ deliveries: [EventWriter.Delivery]) async throws -> [[Verdict]] {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let fresh = try await claim(deliveries, in: transaction)
            var taken: Set<MessageKey> = []
            var records: [NewRecord] = []
            var counts = ReconciliationCounts()
            let verdicts = deliveries.map { delivery in
                let verdicts = delivery.items.map { item -> Verdict in
                    switch item {
                    case .refused(let refusal, _): return .refused(refusal)
                    case .event(let event):
                        let key = MessageKey(event)
                        // The first of several with one key is the one that counts.
                        guard fresh.contains(key), taken.insert(key).inserted else { return .duplicate }
                        let subject = event.subjectKey
                        records.append(
                            NewRecord(
                                shard: Shard(hashing: subject), key: subject, body: event.json,
                                traceparent: delivery.traceparent))
                        return .accepted
                    }
                }
                counts.add(verdicts, source: delivery.sourceID, at: delivery.receivedAt)
                return verdicts
            }
            try await stream.append(records, at: now, in: transaction)
            try await ReconciliationStore.add(counts, in: transaction)
            return verdicts
        }
    }

    /// Takes the message keys that nobody has yet, and returns them.
    private func claim(
        _ deliveries: [EventWriter.Delivery], in transaction: PostgresTransaction
    ) async throws -> Set<MessageKey> {
        var keys: [MessageKey: Instant] = [:]
        for delivery in deliveries {
            for case .event(let event) in delivery.items { keys[MessageKey(event)] = event.receivedAt }
        }
        if keys.isEmpty { return [] }
        // In one order for all writers, so that two that bring the same keys wait and don't deadlock.
        let ordered = keys.sorted { $0.key < $1.key }
        let rows = try await transaction.query(
            """
            INSERT INTO message_key (shard, source_id, message_id, received_at)
            SELECT * FROM unnest(\(ordered.map(\.key.shard))::smallint[], \(ordered.map(\.key.sourceID))::uuid[],
                \(ordered.map(\.key.messageID))::text[], \(ordered.map(\.value))::timestamptz[])
            ON CONFLICT DO NOTHING
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
