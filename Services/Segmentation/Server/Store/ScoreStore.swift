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
    /// How it is made up as soon as everybody is decided by that.
    var next: (version: Int, scoring: JSON)?
    /// Whether all profiles are decided by this version, and no other is to follow.
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
        s.next_version, s.next_scoring, s.next_version IS NULL AND NOT \(SegmentStore.isBehind("s.revision")) AS settled
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
            next: try row.get("next_version", as: Int?.self).map { ($0, try row.get("next_scoring")) },
            isSettled: try row.get("settled"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }

    /// The scores as they stand among the segments: those in force, and those that are to follow them.
    func definitions() async throws -> (inForce: [SegmentDefinition], next: [SegmentDefinition]) {
        let rows = try await session.query(
            """
            SELECT id, version, scoring, live_at, next_version, next_scoring FROM score
            WHERE deleted_at IS NULL ORDER BY id
            """)
        let inForce = try rows.map { row in
            SegmentDefinition(
                score: try row.get("id"), version: try row.get("version"),
                scoring: try Self.scoring(row, "scoring"), since: try row.get("live_at"))
        }
        let next = try rows.compactMap { row in
            try row.get("next_version", as: Int?.self).map { version in
                SegmentDefinition(
                    score: try row.get("id"), version: version,
                    scoring: try Self.scoring(row, "next_scoring"))
            }
        }
        return (inForce, next)
    }

    private static func scoring(_ row: PostgresRow, _ column: String) throws -> Scoring {
        do { return try Scoring(RuleField(try row.get(column, as: JSON.self))) } catch let problem
            as RuleProblem
        {
            // As with segments: a newer instance may have stored what this one cannot read.
            let id: String = try row.get("id")
            throw RetryLater("score \(id) cannot be read by this version, at `\(problem.path)`")
        }
    }

    /// The scores that are made up as they are since after an instant, by their keys among the segments, with when that
    /// began.
    static func made(after instant: Instant, in session: some PostgresSession) async throws -> [String:
        Instant]
    {
        let rows = try await session.query(
            "SELECT id, live_at FROM score WHERE deleted_at IS NULL AND live_at > \(instant)")
        return Dictionary(
            try rows.map {
                (
                    SegmentDefinition.key(ofScore: try $0.get("id", as: String.self)),
                    try $0.get("live_at", as: Instant.self)
                )
            }, uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Stores a definition. One that is made up in another way than what is in force is the next one, until everybody is
    /// decided by it; a new score is in force at once. `companions` is what has next rules that come into force together
    /// with this one's. Needs the lock of the set of rules.
    func store(
        id: String, name: String, description: String, scoring: JSON, companions: Set<String>, at now: Instant
    ) async throws {
        let old = try await session.query(
            "SELECT scoring, next_scoring FROM score WHERE id = \(id) AND deleted_at IS NULL"
        ).first
        guard let old else { return try await create(id, name, description, scoring, at: now) }
        let inForce: JSON = try old.get("scoring")
        if try (old.get("next_scoring", as: JSON?.self) ?? inForce) == scoring {
            _ = try await session.query(
                """
                UPDATE score SET name = \(name), description = \(description), edition = edition + 1,
                    updated_at = \(now)
                WHERE id = \(id) AND (name, description) IS DISTINCT FROM (\(name), \(description))
                """)
            return
        }
        let revision = try await SegmentStore(session).raiseRevision()
        // Back to what is in force: the next one never comes.
        let next: (version: Int?, scoring: JSON?, revision: Int64?) =
            inForce == scoring ? (nil, nil, nil) : (try await nextVersion(of: id), scoring, revision)
        _ = try await session.query(
            """
            UPDATE score SET name = \(name), description = \(description), edition = edition + 1,
                updated_at = \(now), next_version = \(next.version), next_scoring = \(next.scoring),
                next_revision = \(next.revision)
            WHERE id = \(id)
            """)
        if let version = next.version { try await keep(version, scoring, of: id, at: now) }
        try await NextRuleStore(session).waitAnew(companions, for: revision)
    }

    private func create(
        _ id: String, _ name: String, _ description: String, _ scoring: JSON, at now: Instant
    ) async throws {
        let revision = try await SegmentStore(session).raiseRevision()
        let version = try await nextVersion(of: id)
        _ = try await session.query(
            """
            INSERT INTO score AS s
                (id, name, description, version, scoring, edition, revision, created_at, updated_at, live_at)
            VALUES (\(id), \(name), \(description), \(version), \(scoring), 1, \(revision), \(now), \(now),
                    \(now))
            ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, version = excluded.version,
                scoring = excluded.scoring, edition = s.edition + 1, revision = excluded.revision,
                created_at = excluded.created_at, updated_at = excluded.updated_at,
                live_at = excluded.live_at, deleted_at = NULL
            """)
        try await keep(version, scoring, of: id, at: now)
    }

    private func keep(_ version: Int, _ scoring: JSON, of id: String, at now: Instant) async throws {
        _ = try await session.query(
            """
            INSERT INTO score_version (id, version, scoring, created_at)
            VALUES (\(id), \(version), \(scoring), \(now))
            """)
    }

    /// Versions are never used twice, also those that never came into force.
    private func nextVersion(of id: String) async throws -> Int {
        try await session.query(
            """
            SELECT greatest(
                (SELECT max(version) FROM score_version WHERE id = \(id)),
                (SELECT version FROM score WHERE id = \(id)), 0) + 1 AS version
            """
        ).first?.get("version") ?? 1
    }

    /// Takes a score out of force, at which no rule looks; what is remembered for it goes in the background. Needs the lock of
    /// the set of rules.
    func delete(_ id: String, at now: Instant) async throws {
        let revision = try await SegmentStore(session).raiseRevision()
        let version = try await nextVersion(of: id)
        _ = try await session.query(
            """
            UPDATE score SET deleted_at = \(now), updated_at = \(now), revision = \(revision),
                edition = edition + 1, version = \(version), next_version = NULL, next_scoring = NULL,
                next_revision = NULL
            WHERE id = \(id)
            """)
    }
}
