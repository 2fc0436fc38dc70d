import DeliveryDomain
import Foundation
import Models
import Postgres
import Sealing

/// The queue of messages: in, decided, out.
struct QueueStore: Sendable {
    /// Announces that messages are queued.
    static let channel = "delivery_queue"

    let sealing: MessageSealing

    /// Records a message for each intent that has none yet.
    func queue(
        _ intents: [(intent: SendIntent, traceparent: String?)], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !intents.isEmpty else { return }
        let ids = intents.map { Self.messageID(of: $0.intent) }
        let all = intents.map(\.intent)
        let key = try await sealing.key(at: now)
        let variables = try zip(ids, all).map { id, intent in
            try key.seal(JSON.object(intent.variables).compact, .variables, of: id)
        }
        try await transaction.execute(
            """
            WITH queued AS (INSERT INTO delivery.message
                (shard, message_id, intent_id, profile_id, journey, journey_version, instance_id, step, channel,
                 template, purpose, variables, wanted_at, state, queued_at, updated_at, traceparent)
            SELECT i.shard, i.message_id, i.intent_id, i.profile_id, i.journey, i.journey_version, i.instance_id,
                   i.step, i.channel, i.template, i.purpose, i.variables, i.wanted_at, 'queued',
                   \(now)::timestamptz, \(now)::timestamptz, i.traceparent
            FROM unnest(\(all.map { Shard($0.profileID) })::smallint[], \(ids)::uuid[], \(all.map(\.intentID))::uuid[],
                        \(all.map(\.profileID))::uuid[], \(all.map(\.journey))::text[],
                        \(all.map(\.journeyVersion))::bigint[], \(all.map(\.instanceID))::uuid[],
                        \(all.map(\.step))::text[], \(all.map(\.channel))::text[], \(all.map(\.template))::text[],
                        \(all.map(\.purpose))::text[], \(variables)::text[],
                        \(all.map(\.at))::timestamptz[], \(intents.map(\.traceparent))::text[])
                 AS i (shard, message_id, intent_id, profile_id, journey, journey_version, instance_id, step,
                       channel, template, purpose, variables, wanted_at, traceparent)
            ON CONFLICT DO NOTHING
            RETURNING shard, message_id, queued_at)
            INSERT INTO delivery.deadline (shard, message_id, kind, due_at)
            SELECT shard, message_id, 'send', queued_at FROM queued
            """)
        try await transaction.notify(Self.channel)
    }

    /// The same intent always becomes the same message.
    static func messageID(of intent: SendIntent) -> MessageID {
        MessageID(UUIDv7.derived(at: intent.at, from: "delivery message", intent.intentID.description))
    }

    /// Takes up to `limit` queued messages, the oldest first; they are locked until the transaction ends.
    func take(_ limit: Int, in transaction: PostgresTransaction) async throws -> [QueuedMessage] {
        let rows = try await transaction.query(
            """
            SELECT \(QueuedMessage.columns) FROM delivery.message m WHERE m.state = 'queued'
            ORDER BY m.queued_at, m.message_id LIMIT \(limit) FOR UPDATE SKIP LOCKED
            """)
        var messages: [QueuedMessage] = []
        for row in rows { messages.append(try await QueuedMessage(row, sealing)) }
        return messages
    }

    /// Whether a message is still there: the person may have been erased.
    func exists(_ message: QueuedMessage, in session: some PostgresSession) async throws -> Bool {
        try await !session.query(
            "SELECT FROM delivery.message WHERE shard = \(message.shard) AND message_id = \(message.id)"
        ).isEmpty
    }

    /// Puts messages back whose sender is gone: it said `sending`, and its lease has run out.
    func requeueAbandoned(_ pool: PostgresPool) async throws {
        try await pool.execute(
            """
            UPDATE delivery.message SET state = 'queued', leased_until = NULL
            WHERE (shard, message_id) IN (
                SELECT shard, message_id FROM delivery.message
                WHERE state = 'sending' AND leased_until < now() LIMIT 500 FOR UPDATE SKIP LOCKED)
            """)
    }

    /// Has messages looked at again that were held.
    func requeueHeld(_ pool: PostgresPool) async throws {
        try await pool.execute(
            """
            UPDATE delivery.message SET state = 'queued', reason = NULL, leased_until = NULL
            WHERE (shard, message_id) IN (
                SELECT shard, message_id FROM delivery.message
                WHERE state = 'waiting' AND leased_until < now() LIMIT 500 FOR UPDATE SKIP LOCKED)
            """)
    }

    /// When the next attempt of any message is due.
    func nextRetry(_ pool: PostgresPool) async throws -> Instant? {
        try await pool.query("SELECT min(due_at) AS due FROM delivery.deadline WHERE kind = 'retry'").first?
            .get("due", as: Instant?.self)
    }

    /// Queues the messages whose next attempt is due, and returns how many.
    func queueDue(_ now: Instant, in transaction: PostgresTransaction) async throws -> Int {
        let count = try await transaction.execute(
            """
            WITH due AS (
                UPDATE delivery.deadline d SET kind = 'send' WHERE (d.shard, d.message_id) IN (
                    SELECT shard, message_id FROM delivery.deadline WHERE kind = 'retry' AND due_at <= \(now)
                    ORDER BY due_at, message_id LIMIT 500 FOR UPDATE SKIP LOCKED)
                RETURNING d.shard, d.message_id, d.due_at
            ), queued AS (
                UPDATE delivery.message m SET state = 'queued', queued_at = due.due_at
                FROM due
                WHERE m.shard = due.shard AND m.message_id = due.message_id AND m.state = 'waiting'
            )
            SELECT 1 FROM due
            """)
        if count > 0 { try await transaction.notify(Self.channel) }
        return count
    }

    // MARK: Decisions

    /// A message that goes out.
    struct Sending: Sendable {
        var message: QueuedMessage
        var subject: String
        var addressHash: Data
        var links: [LinkKey: String]
        var evidence: JSON
    }

    /// Records that messages are being sent; the lease says until when somebody is at it.
    func markSending(
        _ all: [Sending], lease: Duration, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !all.isEmpty else { return }
        let key = try await sealing.key(at: now)
        let links = try all.map { sending in
            var links: [String: JSON] = [:]
            for (name, url) in sending.links {
                let name = name.description
                links[name] = .string(try key.seal(url, .link, of: sending.message.id, name))
            }
            return JSON.object(links)
        }
        let subjects = try all.map { try key.seal($0.subject, .subject, of: $0.message.id) }
        let evidence = try all.map { try key.seal($0.evidence.compact, .evidence, of: $0.message.id) }
        try await transaction.execute(
            """
            UPDATE delivery.message m
            SET state = 'sending', attempts = m.attempts + 1, reason = NULL, subject = s.subject,
                address_hash = s.address_hash, links = m.links || s.links, evidence = s.evidence,
                leased_until = now() + make_interval(secs => \(Double(lease.milliseconds) / 1000)),
                updated_at = \(now)
            FROM unnest(\(all.map(\.message.shard))::smallint[], \(all.map(\.message.id))::uuid[],
                        \(subjects)::text[], \(all.map(\.addressHash))::bytea[], \(links)::jsonb[],
                        \(evidence)::text[]) AS s (shard, message_id, subject, address_hash, links, evidence)
            WHERE m.shard = s.shard AND m.message_id = s.message_id
            """)
    }

    /// Records why messages aren't sent. Of somebody who was erased nothing else stays.
    func markSuppressed(
        _ all: [(message: QueuedMessage, reason: NonSendReason, evidence: JSON)], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !all.isEmpty else { return }
        let key = try await sealing.key(at: now)
        let evidence = try all.map { try key.seal($0.evidence.compact, .evidence, of: $0.message.id) }
        try await transaction.execute(
            """
            WITH settled AS (UPDATE delivery.message m
            SET state = 'suppressed', reason = s.reason, evidence = s.evidence, updated_at = \(now),
                variables = CASE WHEN s.is_erased THEN '{}' ELSE m.variables END,
                links = CASE WHEN s.is_erased THEN '{}' ELSE m.links END,
                subject = CASE WHEN NOT s.is_erased THEN m.subject END,
                address_hash = CASE WHEN NOT s.is_erased THEN m.address_hash END
            FROM unnest(\(all.map(\.message.shard))::smallint[], \(all.map(\.message.id))::uuid[],
                        \(all.map(\.reason.rawValue))::text[], \(evidence)::text[],
                        \(all.map { $0.reason == .erased })::boolean[])
                 AS s (shard, message_id, reason, evidence, is_erased)
            WHERE m.shard = s.shard AND m.message_id = s.message_id
            RETURNING m.shard, m.message_id)
            DELETE FROM delivery.deadline d USING settled
            WHERE d.shard = settled.shard AND d.message_id = settled.message_id
            """)
    }

    /// Puts messages by for a while, in which others may follow the undoing of a merge.
    func markHeld(
        _ all: [QueuedMessage], for pause: Duration, in transaction: PostgresTransaction
    ) async throws {
        guard !all.isEmpty else { return }
        try await transaction.execute(
            """
            UPDATE delivery.message m
            SET state = 'waiting', reason = 'unmerging',
                leased_until = now() + make_interval(secs => \(Double(pause.milliseconds) / 1000))
            FROM unnest(\(all.map(\.shard))::smallint[], \(all.map(\.id))::uuid[]) AS w (shard, message_id)
            WHERE m.shard = w.shard AND m.message_id = w.message_id
            """)
    }

    /// Lets messages wait for their next attempt.
    func markWaiting(
        _ all: [(shard: Shard, id: MessageID, until: Instant)], in transaction: PostgresTransaction
    ) async throws {
        guard !all.isEmpty else { return }
        try await transaction.execute(
            """
            WITH w AS (
                SELECT * FROM unnest(\(all.map(\.shard))::smallint[], \(all.map(\.id))::uuid[],
                                     \(all.map(\.until))::timestamptz[]) AS w (shard, message_id, due_at)
            ), waiting AS (
                UPDATE delivery.message m SET state = 'waiting', leased_until = NULL FROM w
                WHERE m.shard = w.shard AND m.message_id = w.message_id
            )
            INSERT INTO delivery.deadline (shard, message_id, kind, due_at)
            SELECT shard, message_id, 'retry', due_at FROM w
            ON CONFLICT (shard, message_id) DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at
            """)
    }

    // MARK: Outcomes

    /// An attempt that has come to its end.
    struct Outcome: Sendable {
        var message: QueuedMessage
        /// From 1.
        var attempt: Int
        var verdict: AttemptVerdict
        var detail: String
        var subject: String
        var addressHash: Data
        var at: Instant

        var name: String {
            switch verdict {
            case .delivered: "delivered"
            case .bounced: "bounced"
            case .retry: "retry"
            case .failed: "failed"
            }
        }
    }

    /// Records the ends of attempts; returns those that were still open. A delivery counts whenever it is told, for
    /// whom it went to; anything else only while the attempt is the message's latest.
    func record(_ all: [Outcome], in transaction: PostgresTransaction) async throws -> Set<MessageID> {
        // What a mail server says may repeat the address.
        let key = try await sealing.key(at: all.map(\.at).max() ?? .distantPast)
        let details = try all.map { try key.seal($0.detail, .detail, of: $0.message.id, "\($0.attempt)") }
        let rows = try await transaction.query(
            """
            WITH o AS (
                SELECT * FROM unnest(\(all.map(\.message.shard))::smallint[], \(all.map(\.message.id))::uuid[],
                                     \(all.map(\.attempt))::int[], \(all.map(\.name))::text[],
                                     \(details)::text[], \(all.map(\.at))::timestamptz[],
                                     \(all.map(\.message.profileID))::uuid[], \(all.map(\.addressHash))::bytea[])
                         AS o (shard, message_id, attempt, outcome, detail, at, profile_id, address_hash)
            ), settled AS (
                UPDATE delivery.message m
                SET state = CASE o.outcome WHEN 'retry' THEN 'waiting' ELSE o.outcome END,
                    reason = CASE o.outcome WHEN 'delivered' THEN NULL
                                            WHEN 'failed' THEN 'attemptsExhausted' ELSE o.outcome END,
                    leased_until = NULL, updated_at = o.at, profile_id = o.profile_id,
                    address_hash = o.address_hash
                FROM o
                WHERE m.shard = o.shard AND m.message_id = o.message_id
                  AND (m.state = 'sending' AND m.attempts = o.attempt
                       OR o.outcome = 'delivered' AND m.state IN ('queued', 'sending', 'waiting', 'suppressed'))
                RETURNING m.shard, m.message_id, o.attempt, o.outcome, o.detail, o.at
            ), kept AS (
                INSERT INTO delivery.attempt (shard, message_id, attempt, finished_at, outcome, detail)
                SELECT shard, message_id, attempt, at, outcome, detail FROM settled ON CONFLICT DO NOTHING
            ), done AS (
                DELETE FROM delivery.deadline d USING settled
                WHERE d.shard = settled.shard AND d.message_id = settled.message_id AND settled.outcome <> 'retry'
            )
            SELECT message_id FROM settled
            """)
        return Set(try rows.map { try $0.get("message_id", as: MessageID.self) })
    }
}
