package import JourneysDomain
package import Models
package import Postgres
package import Sealing

/// A journey as it is stored.
package struct StoredJourney: Sendable {
    package var id: String
    package var revision: Int64
    package var version: Int
    package var status: JourneyStatus
    package var name: String
    package var format: String
    package var source: String
    package var document: JSON
    package var createdAt: Instant
    package var updatedAt: Instant

    init(_ row: PostgresRow) throws {
        id = try row.get("journey_id")
        revision = try row.get("revision")
        version = try row.get("version")
        status = JourneyStatus(rawValue: try row.get("status")) ?? .draft
        name = try row.get("name")
        format = try row.get("format")
        source = try row.get("source")
        document = try row.get("document")
        createdAt = try row.get("created_at")
        updatedAt = try row.get("updated_at")
    }
}

/// Keeps definitions and their versions.
package struct JourneyStore: Sendable {
    /// A definition to be stored, checked already.
    package struct Draft: Sendable {
        package var id: String
        package var name: String
        package var status: JourneyStatus
        package var format: String
        package var source: String
        package var document: JSON

        package init(
            id: String, name: String, status: JourneyStatus, format: String, source: String, document: JSON
        ) {
            self.id = id
            self.name = name
            self.status = status
            self.format = format
            self.source = source
            self.document = document
        }
    }

    private let transaction: PostgresTransaction

    package init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    private static let columns: SQL = """
        j.journey_id, j.revision, j.version, j.status, j.name, j.created_at, j.updated_at,
        d.format, d.source, d.document
        """

    package func journey(_ id: String) async throws -> StoredJourney? {
        try await transaction.query(
            """
            SELECT \(Self.columns) FROM journeys.journey j JOIN journeys.definition d USING (journey_id, version)
            WHERE journey_id = \(id) AND deleted_at IS NULL
            """
        ).first.map { try StoredJourney($0) }
    }

    package func journeys(after id: String?, limit: Int) async throws -> [StoredJourney] {
        try await transaction.query(
            """
            SELECT \(Self.columns) FROM journeys.journey j JOIN journeys.definition d USING (journey_id, version)
            WHERE deleted_at IS NULL AND journey_id > \(id ?? "") ORDER BY journey_id LIMIT \(limit)
            """
        ).map { try StoredJourney($0) }
    }

    /// Stores a definition over `previous`. It becomes a new version unless only the status changed; the caller
    /// holds the catalog's lock.
    package func store(_ draft: Draft, over previous: StoredJourney?, at now: Instant) async throws {
        var version = previous?.version ?? 0
        if previous.map({ Self.meaning($0.document) != Self.meaning(draft.document) }) ?? true {
            version = try await newVersion(draft, at: now)
        }
        try await transaction.execute(
            """
            UPDATE journeys.definition SET format = \(draft.format), source = \(draft.source)
            WHERE journey_id = \(draft.id) AND version = \(version)
            """)
        try await transaction.execute(
            """
            UPDATE journeys.journey
            SET revision = revision + 1, version = \(version), status = \(draft.status.rawValue),
                name = \(draft.name), updated_at = \(now), deleted_at = NULL
            WHERE journey_id = \(draft.id)
            """)
        switch (previous?.status, draft.status) {
        case (.paused, .paused): break
        case (_, .paused): try await hold(draft.id)
        case (.paused, _): try await resume(draft.id, at: now)
        default: break
        }
    }

    private func newVersion(_ draft: Draft, at now: Instant) async throws -> Int {
        try await transaction.execute(
            """
            INSERT INTO journeys.journey (journey_id, revision, version, status, name, created_at, updated_at)
            VALUES (\(draft.id), 0, 0, \(draft.status.rawValue), \(draft.name), \(now), \(now))
            ON CONFLICT (journey_id) DO UPDATE
            SET created_at = CASE WHEN journey.deleted_at IS NULL THEN journey.created_at ELSE \(now) END
            """)
        let rows = try await transaction.query(
            """
            INSERT INTO journeys.definition (journey_id, version, format, source, document, created_at)
            SELECT \(draft.id), coalesce(max(version), 0) + 1, \(draft.format), \(draft.source),
                   \(draft.document)::jsonb, \(now)
            FROM journeys.definition WHERE journey_id = \(draft.id)
            RETURNING version
            """)
        return try rows.first?.get("version", as: Int.self) ?? 1
    }

    package func markDeleted(_ id: String, at now: Instant) async throws {
        try await transaction.execute(
            """
            UPDATE journeys.journey SET deleted_at = \(now), updated_at = \(now), revision = revision + 1
            WHERE journey_id = \(id)
            """)
    }

    /// A page of the instances that are running in a journey.
    package func running(
        in journey: String, limit: Int, vault: Vault
    ) async throws -> [InstanceState] {
        let rows = try await transaction.query(
            """
            SELECT instance_id, due_at, state FROM journeys.instance WHERE journey_id = \(journey) AND ended_at IS NULL
            ORDER BY instance_id LIMIT \(limit)
            """)
        return try await InstanceSealing(days: vault.days).states(rows)
    }

    /// The timers of a paused journey are put away; the instances know when they were due.
    private func hold(_ id: String) async throws {
        try await transaction.execute(
            """
            DELETE FROM journeys.deadline d USING journeys.instance i
            WHERE i.journey_id = \(id) AND i.ended_at IS NULL AND d.shard = i.shard AND d.instance_id = i.instance_id
            """)
    }

    /// What came due while the journey stood still is due now; so what follows it keeps its distance.
    private func resume(_ id: String, at now: Instant) async throws {
        try await transaction.execute(
            """
            UPDATE journeys.instance SET due_at = greatest(due_at, \(now))
            WHERE journey_id = \(id) AND ended_at IS NULL AND due_at IS NOT NULL
            """)
        try await transaction.execute(
            """
            INSERT INTO journeys.deadline (shard, instance_id, profile_id, due_at)
            SELECT shard, instance_id, profile_id, due_at FROM journeys.instance
            WHERE journey_id = \(id) AND ended_at IS NULL AND due_at IS NOT NULL
            ON CONFLICT (shard, instance_id) DO UPDATE SET due_at = excluded.due_at
            """)
    }

    /// The definition without the status, which changes without making another version.
    private static func meaning(_ document: JSON) -> JSON {
        guard case .object(var members) = document else { return document }
        members["status"] = nil
        return .object(members)
    }
}
