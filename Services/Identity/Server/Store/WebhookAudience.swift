import IdentityDomain
import Models
import Postgres

/// The SQL of whom endpoints were told of in deliveries that are kept no longer.
enum WebhookAudience {
    /// Whether the endpoint of the delivery `d` has heard of it: also where whoever made the attempt was killed before it
    /// was recorded.
    private static let hasHeard: SQL = """
        (d.state <> 'withheld' AND d.attempts > 0 OR EXISTS (
            SELECT FROM identity.webhook_attempt a
            WHERE a.shard = d.shard AND a.endpoint_id = d.endpoint_id AND a.event_id = d.event_id))
        """

    /// Deletes deliveries that were queued before then and are not under way, and keeps whom they were about; returns their
    /// states.
    static func deleteOld(before instant: Instant, in session: some PostgresSession) async throws -> [String]
    {
        try await session.query(
            """
            WITH old AS MATERIALIZED (
                SELECT d.shard, d.endpoint_id, d.event_id, d.profile_id, d.other_id, d.state, d.is_erased,
                    \(hasHeard) AS has_heard
                FROM identity.webhook_delivery d
                WHERE d.queued_at < \(instant) AND (d.leased_until IS NULL OR d.leased_until < now())
                ORDER BY d.queued_at LIMIT 5000
                FOR UPDATE SKIP LOCKED
            ), kept AS (
                INSERT INTO identity.webhook_audience AS w (shard, endpoint_id, profile_id, was_told)
                SELECT o.shard, e.endpoint_id, p.profile_id, bool_or(o.has_heard)
                FROM old o JOIN identity.webhook_endpoint e USING (endpoint_id)
                CROSS JOIN LATERAL (VALUES (o.profile_id), (o.other_id)) AS p (profile_id)
                -- Of whoever was erased there is nothing more to tell; a test is about nobody.
                WHERE p.profile_id IS NOT NULL AND NOT o.is_erased AND (o.has_heard OR o.state = 'withheld')
                GROUP BY o.shard, e.endpoint_id, p.profile_id
                ORDER BY o.shard, e.endpoint_id, p.profile_id
                ON CONFLICT (shard, endpoint_id, profile_id) DO UPDATE SET was_told = true
                    WHERE excluded.was_told AND NOT w.was_told
            )
            DELETE FROM identity.webhook_delivery d USING old o
            WHERE d.shard = o.shard AND d.endpoint_id = o.endpoint_id AND d.event_id = o.event_id
            RETURNING d.state
            """
        ).map { try $0.get("state", as: String.self) }
    }

    /// Keeps that an attempt was permitted that nobody recorded, of a delivery that is to be withheld now: whoever was to
    /// make it may have been killed after it was made.
    static func noteUnrecorded(
        _ delivery: ClaimedDelivery, in session: some PostgresSession
    ) async throws {
        let profiles = [delivery.profileID, delivery.otherID].compactMap { $0 }
        try await session.execute(
            """
            INSERT INTO identity.webhook_audience (shard, endpoint_id, profile_id, was_told)
            SELECT d.shard, d.endpoint_id, p.profile_id, true
            FROM identity.webhook_delivery d CROSS JOIN unnest(\(profiles)::uuid[]) AS p (profile_id)
            WHERE d.shard = \(WebhookQueue.shard(of: delivery.endpointID)) AND d.endpoint_id = \(delivery.endpointID)
              AND d.event_id = \(delivery.eventID) AND d.state = 'pending' AND d.attempts = \(delivery.attempt)
              AND jsonb_exists(d.consent, 'purposes')
            FOR UPDATE OF d
            ON CONFLICT (shard, endpoint_id, profile_id) DO UPDATE SET was_told = true
            """)
    }

    /// Forgets whom they were, who are erased and of whom everybody is told.
    static func erase(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "DELETE FROM identity.webhook_audience WHERE profile_id = ANY(\(ids)::uuid[])")
    }
}
