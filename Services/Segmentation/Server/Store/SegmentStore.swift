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
    /// The rule that takes the place of this one as soon as everybody is decided by it.
    var next: (version: Int, rule: JSON)?
    /// Whether all profiles are decided by this version of the rule, and no other is to follow.
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
        s.id, s.name, s.description, s.version, s.rule, s.edition, s.created_at, s.updated_at, s.next_version,
        s.next_rule, s.next_version IS NULL AND NOT \(isBehind("s.revision")) AS settled
        """

    /// Whether there are profiles that are not decided by this revision of the set yet.
    static func isBehind(_ revision: String) -> SQL {
        """
        EXISTS (
            SELECT FROM backfill b WHERE greatest(b.done, CASE WHEN b.position IS NULL THEN b.revision END)
                < \(unsafe: revision))
        """
    }

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
            next: try row.get("next_version", as: Int?.self).map { ($0, try row.get("next_rule")) },
            isSettled: try row.get("settled"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }

    /// The rules that came into force after an instant, with when each did.
    static func made(after instant: Instant, in session: some PostgresSession) async throws -> [String:
        Instant]
    {
        let rows = try await session.query(
            """
            SELECT id, live_at FROM segment WHERE deleted_at IS NULL AND live_at > \(instant)
            """)
        return Dictionary(
            try rows.map { (try $0.get("id", as: String.self), try $0.get("live_at", as: Instant.self)) },
            uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Waits until nobody is deciding, and keeps everybody from it until the transaction ends.
    func lockAlone() async throws {
        _ = try await session.query("SELECT pg_advisory_xact_lock(\(Self.lock))")
    }

    /// Stores a definition. A rule that is not the one in force is the next one, until everybody is decided by it; that of
    /// a new segment is in force at once. `companions` is what has next rules that come into force together with this
    /// one's. Needs the lock.
    func store(
        id: String, name: String, description: String, rule: JSON, companions: Set<String>, at now: Instant
    ) async throws {
        let old = try await session.query(
            "SELECT rule, next_rule FROM segment WHERE id = \(id) AND deleted_at IS NULL"
        ).first
        let revision: Int64
        guard let old else {
            revision = try await raiseRevision()
            let version = try await nextVersion(of: id)
            try await create(id, name, description, rule, version, revision, at: now)
            return try await keep(version, rule, of: id, at: now)
        }
        let inForce: JSON = try old.get("rule")
        if try (old.get("next_rule", as: JSON?.self) ?? inForce) == rule {
            _ = try await session.query(
                """
                UPDATE segment SET name = \(name), description = \(description), edition = edition + 1,
                    updated_at = \(now)
                WHERE id = \(id) AND (name, description) IS DISTINCT FROM (\(name), \(description))
                """)
            return
        }
        revision = try await raiseRevision()
        // Back to what is in force: the next rule never comes.
        let next: (version: Int?, rule: JSON?, revision: Int64?) =
            inForce == rule ? (nil, nil, nil) : (try await nextVersion(of: id), rule, revision)
        _ = try await session.query(
            """
            UPDATE segment SET name = \(name), description = \(description), edition = edition + 1,
                updated_at = \(now), next_version = \(next.version), next_rule = \(next.rule),
                next_revision = \(next.revision)
            WHERE id = \(id)
            """)
        if let version = next.version { try await keep(version, rule, of: id, at: now) }
        // What they see of this one is another rule now.
        try await NextRuleStore(session).waitAnew(companions, for: revision)
    }

    private func keep(_ version: Int, _ rule: JSON, of id: String, at now: Instant) async throws {
        _ = try await session.query(
            """
            INSERT INTO segment_version (id, version, rule, created_at)
            VALUES (\(id), \(version), \(rule), \(now))
            """)
    }

    /// Versions are never used twice, also those of rules that never came into force.
    private func nextVersion(of id: String) async throws -> Int {
        try await session.query(
            """
            SELECT greatest(
                (SELECT max(version) FROM segment_version WHERE id = \(id)),
                (SELECT version FROM segment WHERE id = \(id)), 0) + 1 AS version
            """
        ).first?.get("version") ?? 1
    }

    private func create(
        _ id: String, _ name: String, _ description: String, _ rule: JSON, _ version: Int, _ revision: Int64,
        at now: Instant
    ) async throws {
        // Of one of that name which was deleted there may still be members, who are none of this one's.
        _ = try await session.query("DELETE FROM profiles.membership WHERE segment = \(id)")
        _ = try await session.query(
            """
            INSERT INTO segment AS s
                (id, name, description, version, rule, edition, revision, created_at, updated_at, live_at,
                 first_version)
            VALUES (\(id), \(name), \(description), \(version), \(rule), 1, \(revision), \(now), \(now), \(now),
                    \(version))
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, version = excluded.version,
                rule = excluded.rule, edition = s.edition + 1, revision = excluded.revision,
                created_at = excluded.created_at, updated_at = excluded.updated_at,
                live_at = excluded.live_at, first_version = excluded.first_version, deleted_at = NULL
            """)
    }

    /// Takes a segment out of force; its members leave it in the background. Needs the lock.
    func delete(_ id: String, at now: Instant) async throws {
        let revision = try await raiseRevision()
        let version = try await nextVersion(of: id)
        _ = try await session.query(
            """
            UPDATE segment SET deleted_at = \(now), updated_at = \(now), revision = \(revision),
                edition = edition + 1, version = \(version), next_version = NULL, next_rule = NULL,
                next_revision = NULL
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
