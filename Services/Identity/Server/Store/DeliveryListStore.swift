import IdentityDomain
import Models
import Postgres

/// A delivery as it is looked at.
struct StoredDelivery: Sendable {
    let eventID: WebhookEventID
    let type: WebhookEventType
    let profileID: ProfileID?
    let otherID: ProfileID?
    let isErased: Bool
    let occurredAt: Instant
    let queuedAt: Instant
    let state: String
    let nextAttemptAt: Instant?
    let isUnderWay: Bool
    let settledAt: Instant?
    /// By which consents it was told, or why it was not.
    let consent: JSON?
    let attempts: JSON

    var json: JSON {
        [
            "deliveryId": .string(eventID.description), "type": .string(type.rawValue),
            "profileId": profileID.map { .string($0.description) } ?? .null,
            "otherProfileId": otherID.map { .string($0.description) } ?? .null, "erased": .bool(isErased),
            "occurredAt": .string(occurredAt.rfc3339), "queuedAt": .string(queuedAt.rfc3339),
            "state": .string(state), "underWay": .bool(isUnderWay),
            "nextAttemptAt": nextAttemptAt.map { .string($0.rfc3339) } ?? .null,
            "settledAt": settledAt.map { .string($0.rfc3339) } ?? .null, "consent": consent ?? .null,
            "attempts": attempts,
        ]
    }
}

/// The SQL of looking at deliveries, and of queueing by hand.
struct DeliveryListStore: Sendable {
    private static let columns = SQL(
        unsafe: """
            d.event_id, d.type, d.profile_id, d.other_id, d.is_erased, d.occurred_at, d.queued_at, d.state,
            CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS next_attempt_at,
            coalesce(d.leased_until > now(), false) AS under_way, d.settled_at, d.consent,
            (SELECT coalesce(json_agg(json_build_object(
                        'attempt', a.attempt, 'at', to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                        'milliseconds', a.took_ms, 'status', a.status, 'failure', a.failure) ORDER BY a.attempt), '[]')
             FROM identity.webhook_attempt a
             WHERE a.shard = d.shard AND a.endpoint_id = d.endpoint_id AND a.event_id = d.event_id) AS attempts
            """)

    /// The deliveries of an endpoint before `before`, the newest first.
    func list(
        of endpoint: WebhookEndpointID, before: WebhookEventID?, state: String?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [StoredDelivery] {
        let (isFirst, anyState) = (before == nil, state == nil)
        return try await session.query(
            """
            SELECT \(Self.columns) FROM identity.webhook_delivery d
            WHERE d.shard = \(WebhookQueue.shard(of: endpoint)) AND d.endpoint_id = \(endpoint)
              AND (\(isFirst)::boolean OR d.event_id < \(before)::uuid)
              AND (\(anyState)::boolean OR d.state = \(state)::text)
            ORDER BY d.event_id DESC LIMIT \(Int64(limit))
            """
        ).compactMap(StoredDelivery.init)
    }

    func get(
        _ event: WebhookEventID, of endpoint: WebhookEndpointID, in session: some PostgresSession
    ) async throws -> StoredDelivery? {
        try await session.query(
            """
            SELECT \(Self.columns) FROM identity.webhook_delivery d
            WHERE d.shard = \(WebhookQueue.shard(of: endpoint)) AND d.endpoint_id = \(endpoint)
              AND d.event_id = \(event)
            """
        ).first.flatMap(StoredDelivery.init)
    }

    func queueTest(
        _ event: WebhookEventID, for endpoint: WebhookEndpointID, occurredAt: Instant, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO identity.webhook_delivery
                (shard, endpoint_id, event_id, type, details, occurred_at, queued_at, state, next_attempt_at)
            VALUES (\(WebhookQueue.shard(of: endpoint)), \(endpoint), \(event), \(WebhookEventType.test.rawValue), '{}',
                    \(occurredAt), \(now), 'pending', \(now))
            """)
        try await transaction.notify(WebhookQueue.channel)
    }

    /// Gives up what is still to be made. An attempt under way keeps its lease, so that nothing overtakes it.
    func cancel(
        _ event: WebhookEventID, of endpoint: WebhookEndpointID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let count = try await transaction.execute(
            """
            UPDATE identity.webhook_delivery SET state = 'cancelled', settled_at = \(now)
            WHERE shard = \(WebhookQueue.shard(of: endpoint)) AND endpoint_id = \(endpoint) AND event_id = \(event)
              AND state = 'pending'
            """)
        if count > 0 { try await transaction.notify(WebhookQueue.channel) }
    }

    /// Queues a delivery once more, behind all others, with all its attempts anew; false when it waits already.
    func requeue(
        _ event: WebhookEventID, of endpoint: WebhookEndpointID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        let count = try await transaction.execute(
            """
            UPDATE identity.webhook_delivery
            SET state = 'pending', sequence = DEFAULT, earlier_attempts = attempts, settled_at = NULL, consent = NULL,
                next_attempt_at = \(now), queued_at = \(now)
            WHERE shard = \(WebhookQueue.shard(of: endpoint)) AND endpoint_id = \(endpoint) AND event_id = \(event)
              AND state <> 'pending' AND (leased_until IS NULL OR leased_until <= now())
            """)
        if count > 0 { try await transaction.notify(WebhookQueue.channel) }
        return count > 0
    }
}

extension StoredDelivery {
    fileprivate init?(_ row: PostgresRow) throws {
        guard let type = WebhookEventType(rawValue: try row.get("type")) else { return nil }
        self.init(
            eventID: try row.get("event_id"), type: type,
            profileID: try row.get("profile_id", as: ProfileID?.self),
            otherID: try row.get("other_id", as: ProfileID?.self), isErased: try row.get("is_erased"),
            occurredAt: try row.get("occurred_at"), queuedAt: try row.get("queued_at"),
            state: try row.get("state"), nextAttemptAt: try row.get("next_attempt_at", as: Instant?.self),
            isUnderWay: try row.get("under_way"), settledAt: try row.get("settled_at", as: Instant?.self),
            consent: try row.get("consent", as: JSON?.self), attempts: try row.get("attempts", as: JSON.self))
    }
}
