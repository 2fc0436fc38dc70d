import IngestionDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// The raw event log: appends what is new, once, and counts everything.
struct EventLog: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    /// For how long a message key is remembered.
    let window: Duration
    /// What people's names are hashed with, and what is sealed with.
    let profiles: ProfileStore
    let rules: EventRules
    private let stream: StreamWriter

    init(
        pool: PostgresPool, clock: ServiceClock, window: Duration, profiles: ProfileStore, rules: EventRules
    ) {
        self.rules = rules
        self.profiles = profiles
        stream = StreamWriter(.events, sealing: profiles.vault.days)
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
                deliveries.map(\.webhook), at: now, vault: profiles.vault, in: transaction)
            let new = try await rules.held(
                zip(deliveries, isNew).filter(\.1).map(\.0), at: now, in: transaction)
            let appended = try await prepare(new, at: now, in: transaction)
            try await transaction.commit(after: appended.statements)
            var verdicts = appended.verdicts[...]
            return isNew.map { $0 ? verdicts.popFirst() : nil }
        }
    }

    /// Appends the deliveries in the caller's transaction; the verdicts are true once that commits.
    func append(
        _ deliveries: [EventWriter.Delivery], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [[Verdict]] {
        let held = try await rules.held(deliveries, at: now, in: transaction)
        let appended = try await prepare(held, at: now, in: transaction)
        try await transaction.pipeline(appended.statements)
        return appended.verdicts
    }

    /// Takes the message keys of the deliveries, and returns what else is to be done for them, in as few round trips
    /// as can be: while a transaction is open, everybody waits.
    private func prepare(
        _ deliveries: [EventWriter.Delivery], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> (verdicts: [[Verdict]], statements: [SQL]) {
        let events = deliveries.flatMap { delivery in
            delivery.items.compactMap { item in
                if case .event(let event) = item { LoggedEvent(event, delivery.traceparent) } else { nil }
            }
        }
        // Before anything is locked: it may have to be made.
        let key = try await stream.key(at: now)
        var fresh = try await claim(events.map(\.event), in: transaction)
        let append = try stream.statements(appending: records(of: events, in: fresh), at: now, under: key)
        var kept = try await keep(deliveries, in: transaction)
        var counts = ReconciliationCounts()
        let verdicts = deliveries.map { delivery in
            let verdicts = delivery.items.map { item -> Verdict in
                switch item {
                case .refused(let refusal, _): .refused(refusal)
                // The first of several with one key is the one that counts.
                case .event(let event): fresh.remove(event.key) == nil ? .duplicate : .accepted
                case .quarantined(let item):
                    kept.remove(DigestKey(item)) == nil ? .duplicate : .quarantined(item.refusal)
                }
            }
            counts.add(verdicts, source: delivery.sourceID, at: delivery.receivedAt)
            return verdicts
        }
        return (verdicts, append + [ReconciliationStore.addition(of: counts)].compactMap { $0 })
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
        return try await QuarantineStore.keep(
            items, traceparents: traceparents, profiles: profiles, in: transaction)
    }

    /// An event with the trace that it belongs to.
    struct LoggedEvent: Sendable {
        let event: ReadyEvent
        let traceparent: String?

        init(_ event: ReadyEvent, _ traceparent: String?) {
            (self.event, self.traceparent) = (event, traceparent)
        }
    }

    /// Appends the events that are new, each once, and returns their keys.
    func log(
        _ events: [LoggedEvent], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Set<MessageKey> {
        let fresh = try await claim(events.map(\.event), in: transaction)
        try await stream.append(records(of: events, in: fresh), at: now, in: transaction)
        return fresh
    }

    /// The events whose keys are new, each once.
    private func records(of events: [LoggedEvent], in fresh: Set<MessageKey>) -> [NewRecord] {
        var left = fresh
        return events.compactMap { logged in
            guard left.remove(logged.event.key) != nil else { return nil }
            var record = logged.event.record ?? record(of: logged.event)
            record.traceparent = logged.traceparent
            return record
        }
    }

    private func record(of event: ReadyEvent) -> NewRecord {
        NewRecord(shard: event.shard, key: profiles.key.mark(of: event.subject), text: event.text)
    }

    /// The delivery with its events sealed, where the key for that is known. Requests are read by several threads at
    /// once, and transactions wait for each other: what can be done before one is not to be done in it.
    func sealed(_ delivery: EventWriter.Delivery) -> EventWriter.Delivery {
        guard let key = profiles.vault.days.known(at: delivery.receivedAt) else { return delivery }
        var delivery = delivery
        delivery.items = delivery.items.map { item in
            guard case .event(var event) = item else { return item }
            // What can't be sealed now is tried again in the transaction, which then says why.
            event.record = try? record(of: event).sealed(
                for: .events, at: delivery.receivedAt, under: key)
            return .event(event)
        }
        return delivery
    }

    /// Takes the message keys that nobody has yet, or had before the window began, and returns them.
    private func claim(
        _ events: [ReadyEvent], in transaction: PostgresTransaction
    ) async throws -> Set<MessageKey> {
        var keys: [MessageKey: Instant] = [:]
        keys.reserveCapacity(events.count)
        for event in events where keys[event.key] == nil { keys[event.key] = event.receivedAt }
        if keys.isEmpty { return [] }
        // In one order for all writers, so that two that bring the same keys wait and don't deadlock.
        let ordered = keys.sorted { $0.key < $1.key }
        let rows = try await transaction.query(
            """
            INSERT INTO message_key AS k (shard, source_id, message_id, received_at)
            SELECT * FROM unnest(\(binary: ordered.map(\.key.shard)), \(binary: ordered.map(\.key.sourceID)),
                \(binary: ordered.map(\.key.messageID)), \(binary: ordered.map(\.value)))
            ON CONFLICT (shard, source_id, message_id) DO UPDATE SET received_at = excluded.received_at
            WHERE k.received_at < excluded.received_at - make_interval(secs => \(Double(window.milliseconds) / 1000))
            RETURNING source_id, message_id
            """)
        // All new, as they mostly are: no need to read which.
        if rows.count == ordered.count { return Set(keys.keys) }
        return Set(
            try rows.map {
                MessageKey(sourceID: try $0.get("source_id"), messageID: try $0.get("message_id"))
            })
    }
}
