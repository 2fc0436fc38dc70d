import DeliveryDomain
import Models
import Postgres
import Streams

/// Sets messages right that are still to be sent when a merge was undone.
struct CorrectionStore: Sendable {
    let queue: QueueStore
    let events: OutcomeEvents

    /// A message with what becomes of it.
    fileprivate struct Change {
        var message: QueuedMessage
        var standing: MessageStanding
        /// The last word that counts, and the one that is kept until an attempt has come to its end.
        var applied: IntentCorrection?
        var later: IntentCorrection?
        var startsAgain = false
        /// Why it isn't sent, when it isn't.
        var evidence: JSON?

        init(_ message: QueuedMessage, _ stage: MessageStanding.Stage) {
            self.message = message
            standing = MessageStanding(stage, of: message.profileID, wantedAt: message.wantedAt)
        }

        mutating func take(_ correction: IntentCorrection) {
            switch CorrectionDecision.decide(correction, standing) {
            case .nothing: break
            case .later: later = correction
            case .restate(let profileID, let wantedAt, let again):
                standing = MessageStanding(.pending, of: profileID, wantedAt: wantedAt)
                startsAgain = startsAgain || again
                (applied, evidence) = (correction, nil)
            case .cancel:
                evidence = [
                    "correction": correction.json, "standing": standing.json,
                    "decision": ["doNotSend": .string(NonSendReason.mergeUndone.rawValue)],
                ]
                standing = MessageStanding(
                    .unsent, of: correction.profileID, wantedAt: standing.wantedAt)
                applied = correction
            }
        }
    }

    /// Takes what was said of messages, in the order in which it was said.
    func take(
        _ corrections: [(shard: Shard, correction: IntentCorrection)], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !corrections.isEmpty else { return }
        let byIntent = Dictionary(grouping: corrections, by: \.correction.intentID)
        let ids = byIntent.keys.sorted()
        let rows = try await transaction.query(
            """
            SELECT \(QueuedMessage.columns), m.intent_id, m.state
            FROM unnest(\(ids.map { byIntent[$0]?.first?.shard })::smallint[], \(ids)::uuid[]) AS w (shard, intent_id)
            JOIN delivery.message m ON m.shard = w.shard AND m.intent_id = w.intent_id
            ORDER BY m.shard, m.message_id FOR UPDATE OF m
            """)
        var changes: [Change] = []
        for row in rows {
            let state = MessageState(rawValue: try row.get("state")) ?? .failed
            var change = Change(try await QueuedMessage(row, queue.sealing), state.stage)
            for said in byIntent[try row.get("intent_id")] ?? [] { change.take(said.correction) }
            changes.append(change)
        }
        try await write(changes, at: now, in: transaction)
    }

    /// Lets count what was said of messages while they were being sent, now that they are to be sent again. Returns those
    /// that still are, as they are now; all are locked already, or will be.
    func settle(
        _ messages: [QueuedMessage], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [QueuedMessage] {
        guard messages.contains(where: \.isCorrectionDue) else { return messages }
        var changes: [Change] = []
        for message in messages where message.isCorrectionDue {
            guard let correction = message.correction else { continue }
            var change = Change(message, .pending)
            change.take(correction)
            // Also where it changes nothing it has counted now.
            change.applied = change.applied ?? correction
            changes.append(change)
        }
        try await write(changes, at: now, in: transaction)
        let changed = Dictionary(
            changes.map { ($0.message.id, $0) }, uniquingKeysWith: { first, _ in first })
        return messages.compactMap { message in
            guard let change = changed[message.id] else { return message }
            return change.standing.stage == .pending ? change.corrected : nil
        }
    }

    /// The same for messages whose attempts have come to an end that settles nothing.
    func settle(
        attempted: [(shard: Shard, id: MessageID)], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !attempted.isEmpty else { return }
        let rows = try await transaction.query(
            """
            SELECT \(QueuedMessage.columns)
            FROM unnest(\(attempted.map(\.shard))::smallint[], \(attempted.map(\.id))::uuid[]) AS w (shard, message_id)
            JOIN delivery.message m ON m.shard = w.shard AND m.message_id = w.message_id
            WHERE m.correction_due AND m.state IN ('queued', 'waiting')
            ORDER BY m.shard, m.message_id FOR UPDATE OF m
            """)
        var messages: [QueuedMessage] = []
        for row in rows { messages.append(try await QueuedMessage(row, queue.sealing)) }
        _ = try await settle(messages, at: now, in: transaction)
    }

    /// Notes that all has been said that undone merges change in shards, and lets messages go on that waited for it.
    func note(
        followed: [(shard: Shard, mergeID: MergeID, at: Instant)], in transaction: PostgresTransaction
    ) async throws {
        guard !followed.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO delivery.unmerge (shard, merge_id, at)
            SELECT DISTINCT ON (shard, merge_id) * FROM unnest(
                \(followed.map(\.shard))::smallint[], \(followed.map(\.mergeID))::uuid[],
                \(followed.map(\.at))::timestamptz[]) AS f (shard, merge_id, at)
            ON CONFLICT DO NOTHING
            """)
        let released = try await transaction.execute(
            """
            UPDATE delivery.message SET state = 'queued', reason = NULL, leased_until = NULL
            WHERE state = 'waiting' AND leased_until IS NOT NULL AND shard = ANY(\(followed.map(\.shard))::smallint[])
            """)
        if released > 0 { try await transaction.notify(QueueStore.channel) }
    }

    // MARK: Writing

    private func write(
        _ changes: [Change], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await keep(changes.filter { $0.later != nil }, in: transaction)
        let applied = changes.filter { $0.applied != nil }
        try await disown(
            applied.filter { $0.standing.profileID != $0.message.profileID }, at: now, in: transaction)
        try await restate(applied, at: now, in: transaction)
        let cancelled = applied.compactMap { change in
            change.evidence.map {
                (message: change.corrected, reason: NonSendReason.mergeUndone, evidence: $0)
            }
        }
        try await queue.markSuppressed(cancelled, at: now, in: transaction)
        try await events.enqueue(
            cancelled.map { message, reason, _ in
                OutcomeEvents.notSent(message, because: reason, at: now)
            }, at: now, in: transaction)
    }

    /// Keeps what was said while the message is being sent.
    private func keep(_ changes: [Change], in transaction: PostgresTransaction) async throws {
        guard !changes.isEmpty else { return }
        try await transaction.execute(
            """
            UPDATE delivery.message m SET correction = w.correction::jsonb, correction_due = true
            FROM unnest(\(changes.map(\.message.shard))::smallint[], \(changes.map(\.message.id))::uuid[],
                        \(changes.map { $0.later?.json.compact })::text[]) AS w (shard, message_id, correction)
            WHERE m.shard = w.shard AND m.message_id = w.message_id
            """)
    }

    /// Takes out what attempts for somebody else have left: their address, and what was made of their traits.
    private func disown(
        _ changes: [Change], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !changes.isEmpty else { return }
        let places: SQL = """
            unnest(\(changes.map(\.message.shard))::smallint[], \(changes.map(\.message.id))::uuid[])
                AS w (shard, message_id)
            """
        try await transaction.execute(
            """
            UPDATE delivery.message m
            SET subject = NULL, address_hash = NULL, links = '{}', evidence = NULL
            FROM \(places) WHERE m.shard = w.shard AND m.message_id = w.message_id
            """)
        let attempts = try await transaction.query(
            """
            SELECT a.shard, a.message_id, a.attempt FROM \(places)
            JOIN delivery.attempt a ON a.shard = w.shard AND a.message_id = w.message_id
            """
        ).map { row in
            (
                shard: try row.get("shard", as: Shard.self),
                id: try row.get("message_id", as: MessageID.self),
                number: try row.get("attempt", as: Int.self)
            )
        }
        guard !attempts.isEmpty else { return }
        let key = try await queue.sealing.key(at: now)
        let details = try attempts.map { attempt in
            try key.seal(
                "for somebody else, before a merge was undone", .detail, of: attempt.id, "\(attempt.number)")
        }
        try await transaction.execute(
            """
            UPDATE delivery.attempt a SET detail = w.detail
            FROM unnest(\(attempts.map(\.shard))::smallint[], \(attempts.map(\.id))::uuid[],
                        \(attempts.map(\.number))::int[], \(details)::text[])
                 AS w (shard, message_id, attempt, detail)
            WHERE a.shard = w.shard AND a.message_id = w.message_id AND a.attempt = w.attempt
            """)
    }

    /// Writes whose the messages are and when they were wanted, and queues those that start again.
    private func restate(
        _ changes: [Change], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !changes.isEmpty else { return }
        let isQueued = changes.map { $0.startsAgain && $0.evidence == nil }
        try await transaction.execute(
            """
            WITH w AS (
                SELECT * FROM unnest(
                    \(changes.map(\.message.shard))::smallint[], \(changes.map(\.message.id))::uuid[],
                    \(changes.map(\.standing.profileID))::uuid[], \(changes.map(\.standing.wantedAt))::timestamptz[],
                    \(changes.map { $0.applied?.json.compact })::text[], \(isQueued)::boolean[])
                    AS w (shard, message_id, profile_id, wanted_at, correction, is_queued)
            ), restated AS (
                UPDATE delivery.message m
                SET profile_id = w.profile_id, wanted_at = w.wanted_at, correction = w.correction::jsonb,
                    correction_due = false, updated_at = \(now),
                    state = CASE WHEN w.is_queued THEN 'queued' ELSE m.state END,
                    reason = CASE WHEN w.is_queued THEN NULL ELSE m.reason END,
                    leased_until = CASE WHEN w.is_queued THEN NULL ELSE m.leased_until END,
                    queued_at = CASE WHEN w.is_queued THEN \(now) ELSE m.queued_at END,
                    prior_attempts = CASE WHEN w.is_queued THEN m.attempts ELSE m.prior_attempts END
                FROM w WHERE m.shard = w.shard AND m.message_id = w.message_id
            )
            INSERT INTO delivery.deadline (shard, message_id, kind, due_at)
            SELECT shard, message_id, 'send', \(now)::timestamptz FROM w WHERE is_queued
            ON CONFLICT (shard, message_id) DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at
            """)
        if isQueued.contains(true) { try await transaction.notify(QueueStore.channel) }
    }
}

extension CorrectionStore.Change {
    /// The message as it is now.
    var corrected: QueuedMessage {
        var message = message
        message.profileID = standing.profileID
        message.wantedAt = standing.wantedAt
        message.correction = applied ?? message.correction
        message.isCorrectionDue = false
        if startsAgain { message.priorAttempts = message.attempts }
        return message
    }
}

extension MessageState {
    /// What a correction asks of it.
    var stage: MessageStanding.Stage {
        switch self {
        case .queued, .waiting: .pending
        case .sending: .sending
        case .suppressed: .unsent
        case .delivered, .bounced, .failed: .settled
        }
    }
}
