import Models
import Postgres
import SegmentationDomain
import Streams

/// A score as it is stored.
struct StoredScore {
    var id: String
    var name: String
    var description: String
    var version: Int
    var scoring: JSON
    var edition: Int64
    /// Whether what all profiles remember belongs to this version.
    var isSettled: Bool
    var createdAt: Instant
    var updatedAt: Instant
}

/// Reads and writes the definitions of scores.
struct ScoreStore {
    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    private static let columns: SQL = """
        s.id, s.name, s.description, s.version, s.scoring, s.edition, s.created_at, s.updated_at,
        NOT \(SegmentStore.isBehind("s.revision")) AS settled
        """

    /// Scores in order of their ids.
    func scores(after id: String?, limit: Int) async throws -> [StoredScore] {
        let rows = try await session.query(
            """
            SELECT \(Self.columns) FROM score s
            WHERE s.deleted_at IS NULL AND s.id > \(id ?? "") ORDER BY s.id LIMIT \(limit)
            """)
        return try rows.map(Self.score)
    }

    func score(_ id: String) async throws -> StoredScore? {
        try await session.query(
            "SELECT \(Self.columns) FROM score s WHERE s.id = \(id) AND s.deleted_at IS NULL"
        ).first.map(Self.score)
    }

    private static func score(_ row: PostgresRow) throws -> StoredScore {
        StoredScore(
            id: try row.get("id"), name: try row.get("name"), description: try row.get("description"),
            version: try row.get("version"), scoring: try row.get("scoring"), edition: try row.get("edition"),
            isSettled: try row.get("settled"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }

    /// The scores in force as they stand among the segments.
    func definitions() async throws -> [SegmentDefinition] {
        let rows = try await session.query(
            "SELECT id, version, scoring FROM score WHERE deleted_at IS NULL ORDER BY id")
        return try rows.map { row in
            let id: String = try row.get("id")
            do {
                let scoring = try Scoring(RuleField(try row.get("scoring", as: JSON.self)))
                return SegmentDefinition(score: id, version: try row.get("version"), scoring: scoring)
            } catch let problem as RuleProblem {
                // As with segments: a newer instance may have stored what this one cannot read.
                throw RetryLater("score \(id) cannot be read by this version, at `\(problem.path)`")
            }
        }
    }

    /// The scores in force that are younger than an instant, by their keys among the segments, with when each was made.
    static func made(after instant: Instant, in session: some PostgresSession) async throws -> [String:
        Instant]
    {
        let rows = try await session.query(
            """
            SELECT s.id, v.created_at FROM score s
            JOIN score_version v ON v.id = s.id AND v.version = s.version
            WHERE s.deleted_at IS NULL AND v.created_at > \(instant)
            """)
        return Dictionary(
            try rows.map {
                (
                    SegmentDefinition.key(ofScore: try $0.get("id", as: String.self)),
                    try $0.get("created_at", as: Instant.self)
                )
            }, uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Stores a definition; its version goes up if it is made up in another way than the one in force. Needs the lock of
    /// the set of rules.
    func store(id: String, name: String, description: String, scoring: JSON, at now: Instant) async throws {
        let old = try await session.query(
            "SELECT version, scoring, deleted_at IS NOT NULL AS deleted FROM score WHERE id = \(id)"
        ).first
        let isLive = try old.map { try !$0.get("deleted", as: Bool.self) } ?? false
        if isLive, try old?.get("scoring", as: JSON.self) == scoring {
            _ = try await session.query(
                """
                UPDATE score SET name = \(name), description = \(description), edition = edition + 1,
                    updated_at = \(now)
                WHERE id = \(id) AND (name, description) IS DISTINCT FROM (\(name), \(description))
                """)
            return
        }
        let revision = try await SegmentStore(session).raiseRevision()
        try await SegmentStore(session).waitAnew(for: revision)
        let version = try (old?.get("version", as: Int.self) ?? 0) + 1
        _ = try await session.query(
            """
            INSERT INTO score AS s
                (id, name, description, version, scoring, edition, revision, created_at, updated_at)
            VALUES (\(id), \(name), \(description), \(version), \(scoring), 1, \(revision), \(now), \(now))
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, version = excluded.version,
                scoring = excluded.scoring, edition = s.edition + 1, revision = excluded.revision,
                created_at = CASE WHEN s.deleted_at IS NULL THEN s.created_at ELSE excluded.created_at END,
                updated_at = excluded.updated_at, deleted_at = NULL
            """)
        _ = try await session.query(
            """
            INSERT INTO score_version (id, version, scoring, created_at)
            VALUES (\(id), \(version), \(scoring), \(now))
            """)
    }

    /// Takes a score out of force; what is remembered for it goes in the background. Needs the lock of the set of rules.
    func delete(_ id: String, at now: Instant) async throws {
        let revision = try await SegmentStore(session).raiseRevision()
        try await SegmentStore(session).waitAnew(for: revision)
        _ = try await session.query(
            """
            UPDATE score SET deleted_at = \(now), updated_at = \(now), revision = \(revision),
                edition = edition + 1, version = version + 1
            WHERE id = \(id)
            """)
    }
}
