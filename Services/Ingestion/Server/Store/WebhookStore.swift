import Foundation
import IngestionDomain
import Models
import Postgres

enum WebhookTag {}
typealias WebhookID = TypedID<WebhookTag>

/// A webhook in the database.
struct StoredWebhook: Sendable {
    let id: WebhookID
    let sourceID: SourceID
    var name: String
    var mapping: JSON
    var version: Int
    /// Sealed.
    var secrets: Data
    let createdAt: Instant
    var disabledAt: Instant?
}

/// The SQL of webhooks.
struct WebhookStore: Sendable {
    let pool: PostgresPool

    private static let columns = SQL(
        unsafe: "webhook_id, source_id, name, mapping, version, secrets, created_at, disabled_at")

    /// Adds a webhook; false when there is no such source.
    func create(_ webhook: StoredWebhook) async throws -> Bool {
        try await pool.execute(
            """
            INSERT INTO webhook (\(Self.columns))
            SELECT \(webhook.id)::uuid, source_id, \(webhook.name)::text, \(webhook.mapping.compact)::text,
                \(webhook.version)::integer, \(webhook.secrets)::bytea, \(webhook.createdAt)::timestamptz, NULL
            FROM source WHERE source_id = \(webhook.sourceID)
            """) == 1
    }

    func get(_ id: WebhookID) async throws -> StoredWebhook? {
        try await pool.query("SELECT \(Self.columns) FROM webhook WHERE webhook_id = \(id)").first.map(
            StoredWebhook.init)
    }

    /// The webhooks after `after` in the order of their ids, which is that of their making.
    func list(after: WebhookID?, limit: Int) async throws -> [StoredWebhook] {
        let isFirst = after == nil
        return try await pool.query(
            """
            SELECT \(Self.columns) FROM webhook WHERE \(isFirst) OR webhook_id > \(after)::uuid
            ORDER BY webhook_id LIMIT \(Int64(limit))
            """
        ).map(StoredWebhook.init)
    }

    /// Stores a changed webhook as one version more; false when it is not in `webhook.version` any more.
    func change(_ webhook: StoredWebhook) async throws -> Bool {
        try await pool.execute(
            """
            UPDATE webhook SET name = \(webhook.name), mapping = \(webhook.mapping.compact),
                secrets = \(webhook.secrets), version = version + 1
            WHERE webhook_id = \(webhook.id) AND version = \(webhook.version) AND disabled_at IS NULL
            """) == 1
    }

    /// Ends a webhook; false when there is none of this id. Repeating it changes nothing.
    func disable(_ id: WebhookID, at now: Instant) async throws -> Bool {
        try await pool.execute(
            "UPDATE webhook SET disabled_at = coalesce(disabled_at, \(now)) WHERE webhook_id = \(id)") == 1
    }
}

extension StoredWebhook {
    fileprivate init(_ row: PostgresRow) throws {
        id = try row.get("webhook_id")
        sourceID = try row.get("source_id")
        name = try row.get("name")
        mapping = try row.get("mapping", as: JSON.self)
        version = try row.get("version", as: Int.self)
        secrets = try row.get("secrets", as: Data.self)
        createdAt = try row.get("created_at")
        disabledAt = try row.get("disabled_at", as: Instant?.self)
    }
}
