import Models
import Postgres
import ProfileStore
import Sealing
import SegmentationDomain
import Streams

/// The journey stages as they are stored.
struct StoredStages {
    var version: Int
    var stages: JSON
    var edition: Int64
    /// Whether all profiles are decided by this version.
    var isSettled: Bool
    var updatedAt: Instant?

    /// The stages, read.
    func list() throws -> [StageDefinition] {
        do { return try StageDefinition.list(RuleField(stages)) } catch {
            // A newer instance may have stored what this one cannot read; nobody must leave a stage for that.
            let path = error.problems.first?.path.description ?? ""
            throw RetryLater("the stages cannot be read by this version, at `\(path)`")
        }
    }
}

/// Reads and writes the stages, and who is in which.
struct StageStore {
    let session: any PostgresSession

    init(_ session: any PostgresSession) { self.session = session }

    func stages() async throws -> StoredStages {
        let rows = try await session.query(
            """
            SELECT s.version, s.stages, s.edition, s.updated_at, NOT \(SegmentStore.isBehind("s.revision")) AS settled
            FROM stage_list s
            """)
        guard let row = rows.first else { throw RetryLater("the segmentation schema is not migrated") }
        return StoredStages(
            version: try row.get("version"), stages: try row.get("stages"), edition: try row.get("edition"),
            isSettled: try row.get("settled"), updatedAt: try row.get("updated_at", as: Instant?.self))
    }

    /// The stages in force as they stand among the segments.
    func definitions() async throws -> [SegmentDefinition] {
        let stored = try await stages()
        return StageDefinition.definitions(try stored.list(), version: stored.version)
    }

    /// The stages by their keys among the segments, with when they were made, if that was after an instant.
    static func made(
        after instant: Instant, of set: SegmentSet, in session: some PostgresSession
    ) async throws -> [String: Instant] {
        let made: Instant? = try await session.query(
            """
            SELECT v.created_at FROM stage_list s JOIN stage_list_version v ON v.version = s.version
            WHERE v.created_at > \(instant)
            """
        ).first?.get("created_at")
        guard let made else { return [:] }
        return Dictionary(
            set.segments.filter(\.isOfStages).map { ($0.id, made) }, uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Stores the stages; the version goes up if ids, order or rules are not those in force. Needs the lock of the set of
    /// rules.
    func store(_ stages: [StageDefinition], at now: Instant) async throws {
        let old = try await self.stages()
        let json = JSON.array(stages.map(\.json))
        guard old.stages != json else { return }
        if Self.rules(old.stages) == Self.rules(json) {
            _ = try await session.query(
                "UPDATE stage_list SET stages = \(json), edition = edition + 1, updated_at = \(now)")
            return
        }
        let revision = try await SegmentStore(session).raiseRevision()
        try await SegmentStore(session).waitAnew(for: revision)
        let version = old.version + 1
        _ = try await session.query(
            """
            UPDATE stage_list SET version = \(version), stages = \(json), edition = edition + 1,
                revision = \(revision), updated_at = \(now)
            """)
        _ = try await session.query(
            """
            INSERT INTO stage_list_version (version, stages, created_at)
            VALUES (\(version), \(json), \(now))
            """)
    }

    /// The stages without what makes no difference to who is in them.
    private static func rules(_ stages: JSON) -> [JSON] {
        (stages.array ?? []).map { ["id": $0["id"] ?? .null, "rule": $0["rule"] ?? .null] }
    }

    // MARK: Who is in which

    /// Statements that carry changes over; of several changes of one profile the last counts.
    static func writes(_ changes: [StageChange], under key: DayKey) throws -> [SQL] {
        let last = Dictionary(changes.map { ($0.profileID, $0) }, uniquingKeysWith: { $1 }).values.sorted {
            (Shard($0.profileID), $0.profileID) < (Shard($1.profileID), $1.profileID)
        }
        let entered = last.compactMap { change in change.stage.map { (change, $0) } }
        let gone = last.filter { $0.stage == nil }.map(\.profileID)
        var statements: [SQL] = []
        if !entered.isEmpty {
            let evidence = try entered.map { change, _ in
                try key.seal(change.evidence, at: StoredStage.place(of: change.profileID)).compact
            }
            statements.append(
                """
                INSERT INTO profiles.stage (shard, profile_id, stage, version, entered_at, evidence)
                SELECT w.shard, w.id, w.stage, w.version, w.at, w.evidence::jsonb
                FROM unnest(\(entered.map { Shard($0.0.profileID) })::smallint[],
                            \(entered.map(\.0.profileID))::uuid[], \(entered.map(\.1))::text[],
                            \(entered.map(\.0.version))::int[], \(entered.map(\.0.at))::timestamptz[],
                            \(evidence)::text[]) AS w (shard, id, stage, version, at, evidence)
                ON CONFLICT (shard, profile_id) DO UPDATE
                SET stage = excluded.stage, version = excluded.version, entered_at = excluded.entered_at,
                    evidence = excluded.evidence
                """)
        }
        if !gone.isEmpty { statements.append(StateStore.delete(gone, from: "profiles.stage")) }
        return statements
    }
}
