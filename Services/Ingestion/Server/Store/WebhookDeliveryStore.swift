import IngestionDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// A request of a webhook that is to be accepted, in the transaction that stores what it brought.
struct AcceptedWebhook: Sendable {
    /// A request to consent, made once whatever is delivered again.
    struct PrivacyCall: Sendable {
        /// Names it among all that the webhook brings.
        let messageID: String
        let body: JSON
    }

    let id: WebhookID
    let replayKey: ReplayKey
    let privacyCalls: [PrivacyCall]
}

/// The same request was accepted while this one was on its way to be.
struct WebhookAcceptedMeanwhile: Error {}

/// The SQL of accepted requests.
enum WebhookDeliveryStore {
    /// For how long a privacy request is known again: longer than any sender tries.
    private static let privacyWindow: Duration = .days(30)

    /// When a request with this key was accepted; nil when it never was, or so long ago that it doesn't count.
    static func accepted(
        _ key: ReplayKey, of webhook: WebhookID, now: Instant, in session: some PostgresSession
    ) async throws -> Instant? {
        try await session.query(
            """
            SELECT accepted_at FROM webhook_delivery
            WHERE shard = \(Shard(hashing: key.text)) AND webhook_id = \(webhook) AND replay_key = \(key.text)
              AND expires_at > \(now)
            """
        ).first?.get("accepted_at")
    }

    /// Records requests as accepted, with their calls to consent. Says of each whether it is new; of two that are the
    /// same the first is, and what is nil is no webhook's and always new.
    static func accept(
        _ webhooks: [AcceptedWebhook?], at now: Instant, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> [Bool] {
        guard webhooks.contains(where: { $0 != nil }) else { return webhooks.map { _ in true } }
        var fresh = try await claim(
            webhooks.compactMap { webhook in
                webhook.map { (Key(webhook: $0.id, text: $0.replayKey.text), now + $0.replayKey.keep) }
            }, at: now, in: transaction)
        let isNew = webhooks.map { webhook in
            webhook.map { fresh.remove(Key(webhook: $0.id, text: $0.replayKey.text)) != nil } ?? true
        }
        let accepted = zip(webhooks, isNew).compactMap { $1 ? $0 : nil }
        try await request(accepted, at: now, vault: vault, in: transaction)
        return isNew
    }

    private static func request(
        _ webhooks: [AcceptedWebhook], at now: Instant, vault: Vault, in transaction: PostgresTransaction
    ) async throws {
        let calls = webhooks.flatMap { webhook in
            webhook.privacyCalls.map { (Key(webhook: webhook.id, text: "privacy:\($0.messageID)"), $0.body) }
        }
        if calls.isEmpty { return }
        var fresh = try await claim(
            calls.map { ($0.0, now + privacyWindow) }, at: now, in: transaction)
        try await Outbox(schema: ServiceName.ingestion.schema, vault: vault).enqueue(
            calls.filter { fresh.remove($0.0) != nil }.map {
                (.consent, "POST", "/v1/privacy-requests", $0.1)
            }, in: transaction, at: now)
    }

    /// Takes the keys that nobody has, or that have expired, and returns them.
    private static func claim(
        _ keys: [(key: Key, until: Instant)], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Set<Key> {
        guard !keys.isEmpty else { return [] }
        // In one order for all writers, so that two that bring the same keys wait and don't deadlock.
        let ordered = Dictionary(keys.map { ($0.key, $0.until) }, uniquingKeysWith: { first, _ in first })
            .sorted { $0.key < $1.key }
        let rows = try await transaction.query(
            """
            INSERT INTO webhook_delivery AS d (shard, webhook_id, replay_key, accepted_at, expires_at)
            SELECT shard, webhook_id, replay_key, \(now)::timestamptz, expires_at
            FROM unnest(\(ordered.map(\.key.shard))::smallint[], \(ordered.map(\.key.webhook))::uuid[],
                \(ordered.map(\.key.text))::text[], \(ordered.map(\.value))::timestamptz[])
                AS k (shard, webhook_id, replay_key, expires_at)
            ON CONFLICT (shard, webhook_id, replay_key)
            DO UPDATE SET accepted_at = excluded.accepted_at, expires_at = excluded.expires_at
            WHERE d.expires_at <= \(now)
            RETURNING webhook_id, replay_key
            """)
        return Set(
            try rows.map { Key(webhook: try $0.get("webhook_id"), text: try $0.get("replay_key")) })
    }

    /// Forgets some of what has expired, and returns how many.
    static func prune(limit: Int, now: Instant, in session: some PostgresSession) async throws -> Int {
        try await session.execute(
            """
            DELETE FROM webhook_delivery WHERE (shard, webhook_id, replay_key) IN (
                SELECT shard, webhook_id, replay_key FROM webhook_delivery WHERE expires_at <= \(now)
                LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
            """)
    }

    private struct Key: Hashable, Comparable {
        let webhook: WebhookID
        let text: String

        var shard: Shard { Shard(hashing: text) }

        static func < (left: Key, right: Key) -> Bool {
            if left.shard != right.shard { return left.shard < right.shard }
            if left.webhook != right.webhook { return left.webhook < right.webhook }
            return left.text.precedesInUTF8(right.text)
        }
    }
}
