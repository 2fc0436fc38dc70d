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
    /// The list that takes the place of this one as soon as everybody is decided by it.
    var next: (version: Int, stages: JSON)?
    /// Whether all profiles are decided by this version, and no other is to follow.
    var isSettled: Bool
    var updatedAt: Instant?
    /// Since when the list is in force.
    var liveAt: Instant

    /// The stages in force, read.
    func list() throws -> [StageDefinition] { try Self.list(stages) }

    static func list(_ stages: JSON) throws -> [StageDefinition] {
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
            SELECT s.version, s.stages, s.edition, s.updated_at, s.live_at, s.next_version, s.next_stages,
                s.next_version IS NULL AND NOT \(SegmentStore.isBehind("s.revision")) AS settled
            FROM stage_list s
            """)
        guard let row = rows.first else { throw RetryLater("the segmentation schema is not migrated") }
        return StoredStages(
            version: try row.get("version"), stages: try row.get("stages"), edition: try row.get("edition"),
            next: try row.get("next_version", as: Int?.self).map { ($0, try row.get("next_stages")) },
            isSettled: try row.get("settled"), updatedAt: try row.get("updated_at", as: Instant?.self),
            liveAt: try row.get("live_at"))
    }

    /// The stages as they stand among the segments: those in force, and those that are to follow them.
    func definitions() async throws -> (inForce: [SegmentDefinition], next: [SegmentDefinition]) {
        let stored = try await stages()
        let next = try stored.next.map { version, stages in
            StageDefinition.definitions(try StoredStages.list(stages), version: version)
        }
        return (
            StageDefinition.definitions(try stored.list(), version: stored.version, since: stored.liveAt),
            next ?? []
        )
    }

    /// The stages in force by their keys among the segments, with since when they are, if that is after an instant.
    static func made(
        after instant: Instant, of set: SegmentSet, in session: some PostgresSession
    ) async throws -> [String: Instant] {
        let made: Instant? = try await session.query(
            "SELECT live_at FROM stage_list WHERE live_at > \(instant)"
        ).first?.get("live_at")
        guard let made else { return [:] }
        return Dictionary(
            set.inForce.filter(\.isOfStages).map { ($0.id, made) }, uniquingKeysWith: { $1 })
    }

    // MARK: Changing

    /// Stores the stages. A list with other ids, another order or other rules is the next one, until everybody is decided by
    /// it. The first list is in force at once, and so is one without stages, which nobody has to be decided by. `companions`
    /// is what has next rules that come into force together with those of the stages. Needs the lock of the set of rules.
    func store(_ stages: [StageDefinition], companions: Set<String>, at now: Instant) async throws {
        let old = try await self.stages()
        let json = JSON.array(stages.map(\.json))
        let written = old.next?.stages ?? old.stages
        guard written != json else { return }
        if Self.rules(written) == Self.rules(json) {
            let column: SQL = old.next == nil ? "stages" : "next_stages"
            _ = try await session.query(
                "UPDATE stage_list SET \(column) = \(json), edition = edition + 1, updated_at = \(now)")
            return
        }
        let revision = try await SegmentStore(session).raiseRevision()
        if Self.rules(old.stages) == Self.rules(json) {
            // Back to what is in force: the next list never comes.
            _ = try await session.query(
                """
                UPDATE stage_list SET stages = \(json), edition = edition + 1, updated_at = \(now),
                    next_version = NULL, next_stages = NULL, next_revision = NULL
                """)
        } else if stages.isEmpty || old.stages == [] {
            let version = try await keep(json, at: now)
            _ = try await session.query(
                """
                UPDATE stage_list SET version = \(version), stages = \(json), edition = edition + 1,
                    revision = \(revision), updated_at = \(now), live_at = \(now), next_version = NULL,
                    next_stages = NULL, next_revision = NULL
                """)
            if stages.isEmpty { try await emptyAll() }
        } else {
            let version = try await keep(json, at: now)
            _ = try await session.query(
                """
                UPDATE stage_list SET next_version = \(version), next_stages = \(json),
                    next_revision = \(revision), edition = edition + 1, updated_at = \(now)
                """)
        }
        try await NextRuleStore(session).waitAnew(companions, for: revision)
    }

    /// Keeps a list under the next version, which it returns: none is used twice, also of those that never came into force.
    private func keep(_ stages: JSON, at now: Instant) async throws -> Int {
        try await session.query(
            """
            INSERT INTO stage_list_version (version, stages, created_at)
            SELECT greatest((SELECT max(version) FROM stage_list_version), s.version) + 1, \(stages)::jsonb, \(now)
            FROM stage_list s RETURNING version
            """
        ).first?.get("version") ?? 1
    }

    /// Takes everybody out of every stage, for all who ask; it is told when the states are brought to it.
    private func emptyAll() async throws {
        _ = try await session.query("SET LOCAL statement_timeout = 0")
        _ = try await session.query("DELETE FROM profiles.stage")
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
                FROM unnest(\(binary: entered.map { Shard($0.0.profileID) }),
                            \(binary: entered.map(\.0.profileID)), \(binary: entered.map(\.1)),
                            \(entered.map(\.0.version))::int[], \(binary: entered.map(\.0.at)),
                            \(binary: evidence)) AS w (shard, id, stage, version, at, evidence)
                ON CONFLICT (shard, profile_id) DO UPDATE
                SET stage = excluded.stage, version = excluded.version, entered_at = excluded.entered_at,
                    evidence = excluded.evidence
                """)
        }
        if !gone.isEmpty { statements.append(StateStore.delete(gone, from: "profiles.stage")) }
        return statements
    }
}
