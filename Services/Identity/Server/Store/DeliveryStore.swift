import Foundation
import IdentityDomain
import Models
import Postgres

/// A delivery that this instance is at.
struct ClaimedDelivery: Sendable {
    let endpointID: WebhookEndpointID
    let eventID: WebhookEventID
    let sequence: Int64
    let type: WebhookEventType
    let profileID: ProfileID?
    let otherID: ProfileID?
    var details: JSON
    var isErased: Bool
    let occurredAt: Instant
    /// The number of this claim, from 1: one that an instance left behind when it was killed counts as well.
    let attempt: Int
    /// Attempts that were made and recorded since it was queued.
    let made: Int
    let url: String
    let includesTraits: Bool
    let ordering: WebhookOrdering
    /// The version of the endpoint that all this is of.
    let endpointVersion: Int
    let secrets: Data
    let previousSecretUntil: Instant?
}

/// How an attempt ended.
struct FinishedAttempt: Sendable {
    let delivery: ClaimedDelivery
    let outcome: WebhookOutcome
    let at: Instant
    let took: Duration
}

/// The SQL of the queue: claiming what is due, and what became of it.
struct DeliveryStore: Sendable {
    /// Attempts at one endpoint at the same time, over all instances.
    static let parallel = 16
    /// How long a claimed delivery is left alone before another instance may take it as abandoned; by the database's
    /// clock, which all instances share. Longer than an attempt may take; in a line it is renewed before each.
    static let lease = "30 seconds"
    /// How much of an endpoint's queue is looked at for deliveries that don't have to wait for others.
    private static let window: Int64 = 128

    /// Claims up to `limit` deliveries that are due and first of their profiles, or of an endpoint in one line its
    /// foremost, as many as may be made in a row.
    ///
    /// One instance at a time claims for an endpoint, because its row is locked meanwhile; others pass it over.
    func claim(_ limit: Int, at now: Instant, in transaction: PostgresTransaction) async throws
        -> [ClaimedDelivery]
    {
        let rows = try await transaction.query(
            """
            SELECT e.endpoint_id, e.failures, e.ordering FROM identity.webhook_endpoint e
            WHERE e.enabled AND (e.paused_until IS NULL OR e.paused_until <= \(now))
              AND CASE e.ordering WHEN 'endpoint' THEN \(Self.lineIsDue(now)) OR EXISTS (
                    SELECT 1 FROM identity.webhook_delivery d
                    WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.type = 'webhook.test'
                      AND d.next_attempt_at <= \(now))
                  ELSE EXISTS (
                    SELECT 1 FROM identity.webhook_delivery d
                    WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.next_attempt_at <= \(now)) END
            ORDER BY e.endpoint_id FOR NO KEY UPDATE SKIP LOCKED
            """)
        guard !rows.isEmpty else { return [] }
        let ids = try rows.map { try $0.get("endpoint_id", as: WebhookEndpointID.self) }
        let orderings = try rows.map { try $0.get("ordering", as: String.self) }
        let rooms = try rows.map { row in
            EndpointHealth(failures: try row.get("failures", as: Int.self)).isFailing ? 1 : Self.parallel
        }
        return try await transaction.query(
            """
            WITH open AS (
                SELECT w.shard, w.endpoint_id, w.ordering, w.room, (
                    SELECT count(*) FROM identity.webhook_delivery l
                    WHERE l.endpoint_id = w.endpoint_id AND l.leased_until > now()
                      AND (w.ordering = 'profile' OR l.type <> 'webhook.test')) AS busy
                FROM unnest(\(ids.map(WebhookQueue.shard))::smallint[], \(ids)::uuid[], \(orderings)::text[],
                            \(rooms)::int[]) AS w (shard, endpoint_id, ordering, room)
            ), free AS (
                \(Self.firstOfProfiles(now))
                UNION ALL
                \(Self.line(now))
                UNION ALL
                \(Self.tests(now))
            ), picked AS (
                -- Everybody's first before anybody's second, so that a long queue delays no short one.
                SELECT shard, endpoint_id, event_id FROM (
                    SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY sequence) AS place FROM free
                ) f ORDER BY place, endpoint_id LIMIT \(Int64(limit))
            )
            UPDATE identity.webhook_delivery d
            SET attempts = d.attempts + 1, leased_until = now() + \(Self.lease)::interval
            FROM picked p, identity.webhook_endpoint e
            WHERE d.shard = p.shard AND d.endpoint_id = p.endpoint_id AND d.event_id = p.event_id
              AND e.endpoint_id = d.endpoint_id
            RETURNING d.endpoint_id, d.event_id, d.sequence, d.type, d.profile_id, d.other_id, d.details, d.is_erased,
                      d.occurred_at, d.attempts, (
                          SELECT count(*) FROM identity.webhook_attempt a
                          WHERE a.shard = d.shard AND a.endpoint_id = d.endpoint_id AND a.event_id = d.event_id
                            AND a.attempt > d.earlier_attempts) AS made,
                      e.url, e.include_traits, e.ordering, e.version, e.secrets, e.previous_secret_until
            """
        ).compactMap(ClaimedDelivery.init)
    }

    /// What is due and first of its profiles, of endpoints that are ordered by profile.
    private static func firstOfProfiles(_ now: Instant) -> SQL {
        """
        SELECT p.* FROM open CROSS JOIN LATERAL (
            SELECT c.shard, c.endpoint_id, c.event_id, c.sequence
            FROM (
                SELECT d.* FROM identity.webhook_delivery d
                WHERE d.shard = open.shard AND d.endpoint_id = open.endpoint_id AND d.state = 'pending'
                  AND d.next_attempt_at <= \(now) AND (d.leased_until IS NULL OR d.leased_until <= now())
                ORDER BY d.next_attempt_at, d.sequence LIMIT \(window)
            ) c
            WHERE NOT EXISTS (
                SELECT 1 FROM identity.webhook_delivery b
                WHERE b.endpoint_id = c.endpoint_id AND b.state = 'pending' AND b.sequence < c.sequence
                  AND b.profile_id IN (c.profile_id, c.other_id))
              AND NOT EXISTS (
                SELECT 1 FROM identity.webhook_delivery b
                WHERE b.endpoint_id = c.endpoint_id AND b.state = 'pending' AND b.sequence < c.sequence
                  AND b.other_id IN (c.profile_id, c.other_id))
            ORDER BY c.sequence LIMIT greatest(open.room - open.busy, 0)
        ) p WHERE open.ordering = 'profile'
        """
    }

    /// The foremost of the endpoints in one line whose first is due, while nobody is at one.
    private static func line(_ now: Instant) -> SQL {
        """
        SELECT p.* FROM open CROSS JOIN LATERAL (
            SELECT d.shard, d.endpoint_id, d.event_id, d.sequence FROM identity.webhook_delivery d
            WHERE d.shard = open.shard AND d.endpoint_id = open.endpoint_id AND d.state = 'pending'
              AND d.type <> 'webhook.test'
            ORDER BY d.sequence LIMIT open.room
        ) p JOIN identity.webhook_endpoint e ON e.endpoint_id = open.endpoint_id
        WHERE open.ordering = 'endpoint' AND open.busy = 0 AND \(lineIsDue(now))
        """
    }

    /// Tests are about nobody and stand in no line.
    private static func tests(_ now: Instant) -> SQL {
        """
        SELECT p.* FROM open CROSS JOIN LATERAL (
            SELECT d.shard, d.endpoint_id, d.event_id, d.sequence FROM identity.webhook_delivery d
            WHERE d.shard = open.shard AND d.endpoint_id = open.endpoint_id AND d.state = 'pending'
              AND d.type = 'webhook.test' AND d.next_attempt_at <= \(now)
              AND (d.leased_until IS NULL OR d.leased_until <= now())
            ORDER BY d.next_attempt_at LIMIT \(Int64(parallel))
        ) p WHERE open.ordering = 'endpoint'
        """
    }

    /// Whether the first in line of the endpoint `e` is due; null where nobody waits.
    private static func lineIsDue(_ now: Instant) -> SQL {
        """
        (SELECT h.next_attempt_at FROM identity.webhook_delivery h
         WHERE h.endpoint_id = e.endpoint_id AND h.state = 'pending' AND h.type <> 'webhook.test'
         ORDER BY h.sequence LIMIT 1) <= \(now)
        """
    }

    /// The delivery as it is by now; nil when it is given up, or somebody else has taken it over.
    func seenAgain(_ delivery: ClaimedDelivery, in session: some PostgresSession) async throws
        -> ClaimedDelivery?
    {
        let row = try await session.query(
            """
            SELECT details, is_erased FROM identity.webhook_delivery
            WHERE shard = \(WebhookQueue.shard(of: delivery.endpointID)) AND endpoint_id = \(delivery.endpointID)
              AND event_id = \(delivery.eventID) AND state = 'pending' AND attempts = \(delivery.attempt)
              AND leased_until > now()
            """
        ).first
        guard let row else { return nil }
        var delivery = delivery
        delivery.details = try row.get("details", as: JSON.self)
        delivery.isErased = try row.get("is_erased")
        return delivery
    }

    /// Takes a delivery's lease anew for an attempt that is about to begin, and reads it as it is by now; nil when it is
    /// given up, or somebody else has taken it over. Whoever erases the person, or takes the delivery over, waits.
    func hold(_ delivery: ClaimedDelivery, in transaction: PostgresTransaction) async throws
        -> ClaimedDelivery?
    {
        let row = try await transaction.query(
            """
            UPDATE identity.webhook_delivery SET leased_until = clock_timestamp() + \(Self.lease)::interval
            WHERE shard = \(WebhookQueue.shard(of: delivery.endpointID)) AND endpoint_id = \(delivery.endpointID)
              AND event_id = \(delivery.eventID) AND state = 'pending' AND attempts = \(delivery.attempt)
              AND leased_until > clock_timestamp()
            RETURNING details, is_erased
            """
        ).first
        guard let row else { return nil }
        var delivery = delivery
        delivery.details = try row.get("details", as: JSON.self)
        delivery.isErased = try row.get("is_erased")
        return delivery
    }

    /// Notes by which consents an attempt is made that is about to begin.
    func note(_ consent: JSON, of delivery: ClaimedDelivery, in session: some PostgresSession) async throws {
        try await session.execute(
            """
            UPDATE identity.webhook_delivery SET consent = \(consent)
            WHERE shard = \(WebhookQueue.shard(of: delivery.endpointID)) AND endpoint_id = \(delivery.endpointID)
              AND event_id = \(delivery.eventID) AND state = 'pending' AND attempts = \(delivery.attempt)
            """)
    }

    /// Keeps a delivery from its endpoint, which ends it; unless it is given up, or somebody else has taken it over.
    func withhold(
        _ delivery: ClaimedDelivery, _ consent: JSON, at now: Instant, in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            UPDATE identity.webhook_delivery
            SET state = 'withheld', consent = \(consent), leased_until = NULL, settled_at = \(now)
            WHERE shard = \(WebhookQueue.shard(of: delivery.endpointID)) AND endpoint_id = \(delivery.endpointID)
              AND event_id = \(delivery.eventID) AND state = 'pending' AND attempts = \(delivery.attempt)
            """)
    }

    /// Renews the leases of what is left of a line.
    func renew(_ line: some Collection<ClaimedDelivery>, in session: some PostgresSession) async throws {
        try await session.execute(
            """
            UPDATE identity.webhook_delivery d SET leased_until = now() + \(Self.lease)::interval
            FROM \(Self.rows(line)) AS c (shard, endpoint_id, event_id, attempt)
            WHERE d.shard = c.shard AND d.endpoint_id = c.endpoint_id AND d.event_id = c.event_id
              AND d.state = 'pending' AND d.attempts = c.attempt AND d.leased_until > now()
            """)
    }

    /// Gives deliveries back that were claimed and not attempted.
    func release(_ claimed: some Collection<ClaimedDelivery>, in session: some PostgresSession) async throws {
        guard !claimed.isEmpty else { return }
        try await session.execute(
            """
            UPDATE identity.webhook_delivery d
            SET attempts = d.attempts - CASE d.state WHEN 'pending' THEN 1 ELSE 0 END, leased_until = NULL
            FROM \(Self.rows(claimed)) AS c (shard, endpoint_id, event_id, attempt)
            WHERE d.shard = c.shard AND d.endpoint_id = c.endpoint_id AND d.event_id = c.event_id
              AND d.attempts = c.attempt
            """)
    }

    private static func rows(_ claimed: some Collection<ClaimedDelivery>) -> SQL {
        """
        unnest(\(claimed.map { WebhookQueue.shard(of: $0.endpointID) })::smallint[],
               \(claimed.map(\.endpointID))::uuid[], \(claimed.map(\.eventID))::uuid[],
               \(claimed.map(\.attempt))::int[])
        """
    }

    /// How long until there is something to do; nil when nothing waits.
    func untilNext(from now: Instant, in session: some PostgresSession) async throws -> Duration? {
        let next = try await session.query(
            """
            SELECT min(greatest(d.next_attempt_at, e.paused_until)) AS due
            FROM identity.webhook_endpoint e CROSS JOIN LATERAL (
                (SELECT next_attempt_at FROM identity.webhook_delivery d
                 WHERE e.ordering = 'profile' AND d.endpoint_id = e.endpoint_id AND d.state = 'pending'
                 ORDER BY next_attempt_at LIMIT 1)
                UNION ALL
                (SELECT next_attempt_at FROM identity.webhook_delivery d
                 WHERE e.ordering = 'endpoint' AND d.endpoint_id = e.endpoint_id AND d.state = 'pending'
                   AND d.type <> 'webhook.test' ORDER BY sequence LIMIT 1)
                UNION ALL
                (SELECT next_attempt_at FROM identity.webhook_delivery d
                 WHERE e.ordering = 'endpoint' AND d.endpoint_id = e.endpoint_id AND d.state = 'pending'
                   AND d.type = 'webhook.test' ORDER BY next_attempt_at LIMIT 1)) d
            WHERE e.enabled
            """
        ).first?.get("due", as: Instant?.self)
        return next.map { $0 - now }
    }

    /// Records an attempt and what it means for the delivery; false when somebody else has taken the delivery over.
    func record(
        _ attempt: FinishedAttempt, _ verdict: WebhookVerdict.Delivery, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let delivery = attempt.delivery
        let shard = WebhookQueue.shard(of: delivery.endpointID)
        let (state, next): (String, Instant?) =
            switch verdict {
            case .delivered: ("delivered", nil)
            case .failed: ("failed", nil)
            case .waiting(let until): ("pending", until)
            }
        let settledAt = next == nil ? attempt.at : nil
        let count = try await transaction.execute(
            """
            UPDATE identity.webhook_delivery
            SET state = \(state), leased_until = NULL, settled_at = \(settledAt)::timestamptz,
                next_attempt_at = coalesce(\(next)::timestamptz, next_attempt_at)
            WHERE shard = \(shard) AND endpoint_id = \(delivery.endpointID) AND event_id = \(delivery.eventID)
              AND state = 'pending' AND attempts = \(delivery.attempt)
            """)
        let isWanted = count == 1
        if !isWanted {
            // It was given up meanwhile: what has come of it all the same is told, unless it was taken over.
            let isDelivered = attempt.outcome.isSuccess
            let cancelled = try await transaction.execute(
                """
                UPDATE identity.webhook_delivery
                SET leased_until = NULL, state = CASE WHEN \(isDelivered)::boolean THEN 'delivered' ELSE state END
                WHERE shard = \(shard) AND endpoint_id = \(delivery.endpointID) AND event_id = \(delivery.eventID)
                  AND state = 'cancelled' AND attempts = \(delivery.attempt) AND leased_until IS NOT NULL
                """)
            guard cancelled == 1 else { return false }
        }
        let (status, failure): (Int?, String?) =
            switch attempt.outcome {
            case .answered(let status, _): (status, nil)
            case .unanswered(let reason): (nil, reason)
            }
        try await transaction.execute(
            """
            INSERT INTO identity.webhook_attempt (shard, endpoint_id, event_id, attempt, at, took_ms, status, failure)
            VALUES (\(shard), \(delivery.endpointID), \(delivery.eventID), \(delivery.attempt), \(attempt.at),
                    \(Int(attempt.took.milliseconds)), \(status)::int, \(failure)::text)
            """)
        if let next, isWanted, delivery.ordering == .profile {
            try await holdFollowers(of: delivery, until: next, in: transaction)
        }
        return isWanted
    }

    /// Lets the deliveries that have to wait for one that failed wait as long, so that nobody looks at them before.
    private func holdFollowers(
        of delivery: ClaimedDelivery, until next: Instant, in transaction: PostgresTransaction
    ) async throws {
        let profiles = [delivery.profileID, delivery.otherID].compactMap { $0 }
        guard !profiles.isEmpty else { return }
        try await transaction.execute(
            """
            UPDATE identity.webhook_delivery SET next_attempt_at = \(next)
            WHERE endpoint_id = \(delivery.endpointID) AND state = 'pending' AND next_attempt_at < \(next)
              AND leased_until IS NULL
              AND (profile_id = ANY(\(profiles)::uuid[]) OR other_id = ANY(\(profiles)::uuid[]))
            """)
    }

    /// Has everything that waits for an endpoint tried at once.
    func hurry(_ endpoint: WebhookEndpointID, at now: Instant, in transaction: PostgresTransaction)
        async throws
    {
        try await transaction.execute(
            """
            UPDATE identity.webhook_delivery SET next_attempt_at = \(now)
            WHERE endpoint_id = \(endpoint) AND state = 'pending' AND next_attempt_at > \(now)
            """)
        try await transaction.notify(WebhookQueue.channel)
    }

    /// Deletes what is older than may be kept, and returns how many deliveries, and how many of them were never made.
    func deleteOld(
        before instant: Instant, in session: some PostgresSession
    ) async throws -> (all: Int, pending: Int) {
        try await session.execute("DELETE FROM identity.webhook_idempotency WHERE created_at < \(instant)")
        let states = try await WebhookAudience.deleteOld(before: instant, in: session)
        return (states.count, states.count { $0 == "pending" })
    }
}

extension ClaimedDelivery {
    fileprivate init?(_ row: PostgresRow) throws {
        guard let type = WebhookEventType(rawValue: try row.get("type")) else { return nil }
        self.init(
            endpointID: try row.get("endpoint_id"), eventID: try row.get("event_id"),
            sequence: try row.get("sequence", as: Int64.self), type: type,
            profileID: try row.get("profile_id", as: ProfileID?.self),
            otherID: try row.get("other_id", as: ProfileID?.self),
            details: try row.get("details", as: JSON.self), isErased: try row.get("is_erased"),
            occurredAt: try row.get("occurred_at"), attempt: try row.get("attempts", as: Int.self),
            made: try row.get("made", as: Int.self), url: try row.get("url"),
            includesTraits: try row.get("include_traits"),
            ordering: WebhookOrdering(rawValue: try row.get("ordering")) ?? .endpoint,
            endpointVersion: try row.get("version", as: Int.self),
            secrets: try row.get("secrets", as: Data.self),
            previousSecretUntil: try row.get("previous_secret_until", as: Instant?.self))
    }
}
