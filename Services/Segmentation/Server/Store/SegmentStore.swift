import Models
import Postgres
import SegmentationDomain

/// A segment as it is stored.
struct StoredSegment {
    var id: String
    var name: String
    var description: String
    var version: Int
    var rule: JSON
    var edition: Int64
    /// Whether all profiles are decided by this version of the rule.
    var isSettled: Bool
    var createdAt: Instant
    var updatedAt: Instant
}

/// Reads and writes the definitions.
struct SegmentStore {
    /// The NOTIFY channel that says that definitions have changed.
    static let channel = "segments"
    /// The key of the advisory lock over the set of rules.
    static let lock: Int64 = 0x5E67_3E74

    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    private static let columns: SQL = """
        s.id, s.name, s.description, s.version, s.rule, s.edition, s.created_at, s.updated_at,
        NOT EXISTS (SELECT FROM backfill b WHERE b.revision < s.revision OR b.position IS NOT NULL) AS settled
        """

    /// Segments in order of their ids.
    func segments(after id: String?, limit: Int) async throws -> [StoredSegment] {
        let rows = try await session.query(
            """
            SELECT \(Self.columns) FROM segment s
            WHERE s.deleted_at IS NULL AND s.id > \(id ?? "") ORDER BY s.id LIMIT \(limit)
            """)
        return try rows.map(Self.segment)
    }

    func segment(_ id: String) async throws -> StoredSegment? {
        try await session.query(
            "SELECT \(Self.columns) FROM segment s WHERE s.id = \(id) AND s.deleted_at IS NULL"
        ).first.map(Self.segment)
    }

    private static func segment(_ row: PostgresRow) throws -> StoredSegment {
        StoredSegment(
            id: try row.get("id"), name: try row.get("name"), description: try row.get("description"),
            version: try row.get("version"), rule: try row.get("rule"), edition: try row.get("edition"),
            isSettled: try row.get("settled"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }

    /// The rules in force that are younger than an instant, with when each was made.
    static func made(after instant: Instant, in session: some PostgresSession) async throws -> [String:
        Instant]
    {
        let rows = try await session.query(
            """
            SELECT s.id, v.created_at FROM segment s
            JOIN segment_version v ON v.id = s.id AND v.version = s.version
            WHERE s.deleted_at IS NULL AND v.created_at > \(instant)
            """)
        return Dictionary(
            try rows.map { (try $0.get("id", as: String.self), try $0.get("created_at", as: Instant.self)) },
            uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Waits until nobody is deciding, and keeps everybody from it until the transaction ends.
    func lockAlone() async throws {
        _ = try await session.query("SELECT pg_advisory_xact_lock(\(Self.lock))")
    }

    /// Stores a definition; its version goes up if the rule is not the one in force. Needs the lock.
    func store(id: String, name: String, description: String, rule: JSON, at now: Instant) async throws {
        let old = try await session.query(
            "SELECT version, rule, deleted_at IS NOT NULL AS deleted FROM segment WHERE id = \(id)"
        ).first
        let oldRule: JSON? = try old?.get("rule")
        let isLive = try old.map { try !$0.get("deleted", as: Bool.self) } ?? false
        if isLive, oldRule == rule {
            _ = try await session.query(
                """
                UPDATE segment SET name = \(name), description = \(description), edition = edition + 1,
                    updated_at = \(now)
                WHERE id = \(id) AND (name, description) IS DISTINCT FROM (\(name), \(description))
                """)
            return
        }
        let revision = try await raiseRevision()
        let version = try (old?.get("version", as: Int.self) ?? 0) + 1
        _ = try await session.query(
            """
            INSERT INTO segment AS s
                (id, name, description, version, rule, edition, revision, created_at, updated_at)
            VALUES (\(id), \(name), \(description), \(version), \(rule), 1, \(revision), \(now), \(now))
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, version = excluded.version,
                rule = excluded.rule, edition = s.edition + 1, revision = excluded.revision,
                created_at = CASE WHEN s.deleted_at IS NULL THEN s.created_at ELSE excluded.created_at END,
                updated_at = excluded.updated_at, deleted_at = NULL
            """)
        _ = try await session.query(
            """
            INSERT INTO segment_version (id, version, rule, created_at)
            VALUES (\(id), \(version), \(rule), \(now))
            """)
    }

    /// Takes a segment out of force; its members leave it in the background. Needs the lock.
    func delete(_ id: String, at now: Instant) async throws {
        let revision = try await raiseRevision()
        _ = try await session.query(
            """
            UPDATE segment SET deleted_at = \(now), updated_at = \(now), revision = \(revision),
                edition = edition + 1, version = version + 1
            WHERE id = \(id)
            """)
    }

    /// Counts a change of the set of rules, and says that there was one. Needs the lock.
    func raiseRevision() async throws -> Int64 {
        _ = try await session.query("SELECT pg_notify(\(Self.channel), '')")
        let rows = try await session.query(
            "UPDATE segment_set SET revision = revision + 1 RETURNING revision")
        return try rows.first?.get("revision") ?? 0
    }
}
