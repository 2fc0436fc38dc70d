import Foundation
import IdentityDomain
import Models
import Postgres

/// An endpoint in the database.
struct StoredEndpoint: Sendable {
    let id: WebhookEndpointID
    var url: String
    var description: String
    var eventTypes: [WebhookEventType]
    /// Whether events hold the values of traits.
    var includesTraits: Bool
    var ordering: WebhookOrdering
    var isEnabled: Bool
    var disabling: EndpointDisabling?
    var disabledAt: Instant?
    var version: Int
    /// Sealed.
    var secrets: Data
    /// Until when events are signed with the secret before the current one as well.
    var previousSecretUntil: Instant?
    let createdAt: Instant
    var updatedAt: Instant
    var health = EndpointHealth()
    var lastSuccessAt: Instant?
    /// Deliveries that wait, 100,000 of them at most.
    var pending = 0
    /// Since when the first of them waits.
    var oldestPendingAt: Instant?
}

/// The SQL of endpoints.
struct EndpointStore: Sendable {
    private static let columns = SQL(
        unsafe: """
            endpoint_id, url, description, event_types, include_traits, ordering, enabled, disabled_reason, disabled_at,
            version, secrets, previous_secret_until, created_at, updated_at, failures, failing_since, paused_until,
            last_success_at
            """)
    private static let pending = SQL(
        unsafe: """
            (SELECT count(*) FROM (SELECT 1 FROM identity.webhook_delivery d
             WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' LIMIT 100000) AS p) AS pending,
            (SELECT d.queued_at FROM identity.webhook_delivery d
             WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND d.type <> 'webhook.test'
             ORDER BY d.sequence LIMIT 1) AS oldest_pending_at
            """)

    func count(in session: some PostgresSession) async throws -> Int {
        try await session.query("SELECT count(*) AS number FROM identity.webhook_endpoint").first?
            .get("number", as: Int.self) ?? 0
    }

    func insert(_ endpoint: StoredEndpoint, in session: some PostgresSession) async throws {
        try await session.execute(
            """
            INSERT INTO identity.webhook_endpoint
                (endpoint_id, url, description, event_types, include_traits, ordering, enabled, disabled_reason,
                 disabled_at, version, secrets, created_at, updated_at)
            VALUES (\(endpoint.id), \(endpoint.url), \(endpoint.description),
                    \(endpoint.eventTypes.map(\.rawValue))::text[], \(endpoint.includesTraits),
                    \(endpoint.ordering.rawValue), \(endpoint.isEnabled), \(endpoint.disabling?.rawValue)::text, \(endpoint.disabledAt)::timestamptz, \(endpoint.version),
                    \(endpoint.secrets), \(endpoint.createdAt), \(endpoint.updatedAt))
            """)
    }

    func get(_ id: WebhookEndpointID, in session: some PostgresSession) async throws -> StoredEndpoint? {
        try await session.query(
            """
            SELECT \(Self.columns), \(Self.pending) FROM identity.webhook_endpoint e WHERE endpoint_id = \(id)
            """
        ).first.map(StoredEndpoint.init)
    }

    /// The endpoint, locked until the transaction ends; what waits is not counted.
    func lock(_ id: WebhookEndpointID, in transaction: PostgresTransaction) async throws -> StoredEndpoint? {
        try await transaction.query(
            """
            SELECT \(Self.columns), 0 AS pending, NULL::timestamptz AS oldest_pending_at
            FROM identity.webhook_endpoint e WHERE endpoint_id = \(id) FOR UPDATE
            """
        ).first.map(StoredEndpoint.init)
    }

    /// The endpoints after `after`, in the order of their making.
    func list(
        after: WebhookEndpointID?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredEndpoint] {
        let isFirst = after == nil
        return try await session.query(
            """
            SELECT \(Self.columns), \(Self.pending) FROM identity.webhook_endpoint e
            WHERE \(isFirst)::boolean OR endpoint_id > \(after)::uuid
            ORDER BY endpoint_id LIMIT \(Int64(limit))
            """
        ).map(StoredEndpoint.init)
    }

    /// The same as it is now, to be shown.
    func shown(_ endpoint: StoredEndpoint, in transaction: PostgresTransaction) async throws -> StoredEndpoint
    {
        try await get(endpoint.id, in: transaction) ?? endpoint
    }

    /// Stores everything that may change, of an endpoint that is locked.
    func update(_ endpoint: StoredEndpoint, in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            UPDATE identity.webhook_endpoint
            SET url = \(endpoint.url), description = \(endpoint.description),
                event_types = \(endpoint.eventTypes.map(\.rawValue))::text[],
                include_traits = \(endpoint.includesTraits), ordering = \(endpoint.ordering.rawValue),
                enabled = \(endpoint.isEnabled),
                disabled_reason = \(endpoint.disabling?.rawValue)::text,
                disabled_at = \(endpoint.disabledAt)::timestamptz, version = \(endpoint.version),
                secrets = \(endpoint.secrets), updated_at = \(endpoint.updatedAt),
                previous_secret_until = \(endpoint.previousSecretUntil)::timestamptz,
                failures = \(endpoint.health.failures),
                failing_since = \(endpoint.health.failingSince)::timestamptz,
                paused_until = \(endpoint.health.pausedUntil)::timestamptz,
                last_success_at = \(endpoint.lastSuccessAt)::timestamptz
            WHERE endpoint_id = \(endpoint.id)
            """)
    }

    /// Deletes an endpoint with everything that was, or was to be, delivered to it.
    func delete(_ id: WebhookEndpointID, in transaction: PostgresTransaction) async throws {
        let shard = WebhookQueue.shard(of: id)
        try await transaction.execute(
            "DELETE FROM identity.webhook_delivery WHERE shard = \(shard) AND endpoint_id = \(id)")
        try await transaction.execute("DELETE FROM identity.webhook_endpoint WHERE endpoint_id = \(id)")
    }
}

extension StoredEndpoint {
    /// Stops everything to the endpoint; what is queued stays.
    mutating func disable(_ reason: EndpointDisabling, at now: Instant) {
        isEnabled = false
        disabling = reason
        disabledAt = now
        version += 1
    }

    /// Begins anew, as if nothing had failed.
    mutating func enable() {
        isEnabled = true
        disabling = nil
        disabledAt = nil
        health = EndpointHealth()
    }

    init(_ row: PostgresRow) throws {
        id = try row.get("endpoint_id")
        url = try row.get("url")
        description = try row.get("description")
        eventTypes = try row.get("event_types", as: [String].self).compactMap(WebhookEventType.init)
        includesTraits = try row.get("include_traits")
        ordering = WebhookOrdering(rawValue: try row.get("ordering")) ?? .endpoint
        isEnabled = try row.get("enabled")
        disabling = try row.get("disabled_reason", as: String?.self).flatMap(EndpointDisabling.init)
        disabledAt = try row.get("disabled_at", as: Instant?.self)
        version = try row.get("version", as: Int.self)
        secrets = try row.get("secrets", as: Data.self)
        previousSecretUntil = try row.get("previous_secret_until", as: Instant?.self)
        createdAt = try row.get("created_at")
        updatedAt = try row.get("updated_at")
        health = EndpointHealth(
            failures: try row.get("failures", as: Int.self),
            failingSince: try row.get("failing_since", as: Instant?.self),
            pausedUntil: try row.get("paused_until", as: Instant?.self))
        lastSuccessAt = try row.get("last_success_at", as: Instant?.self)
        pending = try row.get("pending", as: Int.self)
        oldestPendingAt = try row.get("oldest_pending_at", as: Instant?.self)
    }
}
