import Foundation
import IdentityDomain
import Models
import Postgres

/// What Idempotency-Keys were used for. Answers are made anew and not kept: some hold a secret.
struct WebhookKeyStore: Sendable {
    struct Use: Sendable {
        var caller: String
        var key: String
        var digest: Data
    }

    struct Effect: Sendable {
        var endpointID: WebhookEndpointID
        var eventID: WebhookEventID?
    }

    func find(_ use: Use, in session: some PostgresSession) async throws -> (digest: Data, effect: Effect)? {
        try await session.query(
            """
            SELECT request_digest, endpoint_id, event_id FROM identity.webhook_idempotency
            WHERE caller = \(use.caller) AND key = \(use.key)
            """
        ).first.map { row in
            (
                try row.get("request_digest", as: Data.self),
                Effect(
                    endpointID: try row.get("endpoint_id"),
                    eventID: try row.get("event_id", as: WebhookEventID?.self))
            )
        }
    }

    /// False when somebody else has used the key since.
    func keep(
        _ use: Use, _ effect: Effect, at now: Instant, in session: some PostgresSession
    ) async throws -> Bool {
        try await session.execute(
            """
            INSERT INTO identity.webhook_idempotency
                (caller, key, request_digest, endpoint_id, event_id, created_at)
            VALUES (\(use.caller), \(use.key), \(use.digest), \(effect.endpointID), \(effect.eventID)::uuid, \(now))
            ON CONFLICT DO NOTHING
            """) == 1
    }
}
