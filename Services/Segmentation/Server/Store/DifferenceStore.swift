import Models
import Postgres
import SegmentationDomain

/// What changes when next rules come into force: `membership_difference`, and `stage_difference`.
enum DifferenceStore {
    /// By profile: the segments by whose next rule it is in and now is not, true, or the other way round, false.
    typealias Differences = [ProfileID: [String: Bool]]

    /// Statements that make of what was stored what is to be stored.
    static func writes(from old: Differences, to new: Differences) -> [SQL] {
        var gone: [(id: ProfileID, segment: String)] = []
        var set: [(id: ProfileID, segment: String, enters: Bool)] = []
        for (id, segments) in old {
            gone += segments.keys.filter { new[id]?[$0] == nil }.map { (id, $0) }
        }
        for (id, segments) in new {
            set += segments.filter { old[id]?[$0.key] != $0.value }.map { (id, $0.key, $0.value) }
        }
        var statements: [SQL] = []
        if !gone.isEmpty { statements.append(delete(gone, from: "membership_difference")) }
        if !set.isEmpty {
            statements.append(
                """
                INSERT INTO membership_difference (shard, profile_id, segment, enters)
                SELECT * FROM unnest(\(binary: set.map { Shard($0.id) }), \(binary: set.map(\.id)),
                                     \(binary: set.map(\.segment)), \(binary: set.map(\.enters)))
                ON CONFLICT (shard, profile_id, segment) DO UPDATE SET enters = excluded.enters
                """)
        }
        return statements
    }

    /// Statements that make of what was stored of the stages what is to be stored.
    static func writes(
        from old: [ProfileID: ProfileState.NextStage], to new: [ProfileID: ProfileState.NextStage]
    ) -> [SQL] {
        let gone = old.keys.filter { new[$0] == nil }
        let set = new.filter { old[$0.key] != $0.value }.map { (id: $0.key, stage: $0.value.id) }
        var statements: [SQL] = []
        if !gone.isEmpty { statements.append(StateStore.delete(Array(gone), from: "stage_difference")) }
        if !set.isEmpty {
            statements.append(
                """
                INSERT INTO stage_difference (shard, profile_id, stage)
                SELECT * FROM unnest(\(binary: set.map { Shard($0.id) }), \(binary: set.map(\.id)),
                                     \(binary: set.map(\.stage)))
                ON CONFLICT (shard, profile_id) DO UPDATE SET stage = excluded.stage
                """)
        }
        return statements
    }

    /// A statement that deletes the rows of profiles and segments.
    static func delete(_ places: [(id: ProfileID, segment: String)], from table: String) -> SQL {
        """
        DELETE FROM \(unsafe: table) t
        USING unnest(\(binary: places.map { Shard($0.id) }), \(binary: places.map(\.id)),
                     \(binary: places.map(\.segment))) AS w (shard, id, segment)
        WHERE t.shard = w.shard AND t.profile_id = w.id AND t.segment = w.segment
        """
    }

    /// Makes of the memberships those by the next rules of segments, as of an instant. Whoever stays is in it since when
    /// they entered; the conditions in the evidence of those who enter come with the change, when it is told. The segments
    /// have their new versions already.
    static func carryOut(
        _ segments: [String], at instant: Instant, revision: Int64, in session: any PostgresSession
    ) async throws {
        let evidence: JSON = [
            "decidedAt": .string(instant.rfc3339), "cause": Cause.definition(revision: revision).json,
        ]
        _ = try await session.query(
            """
            DELETE FROM profiles.membership m USING membership_difference d
            WHERE d.segment = ANY(\(binary: segments)) AND NOT d.enters AND \(LeftBehind.exclusion)
                AND m.shard = d.shard AND m.profile_id = d.profile_id AND m.segment = d.segment
            """)
        _ = try await session.query(
            """
            INSERT INTO profiles.membership (shard, profile_id, segment, version, entered_at, evidence)
            SELECT d.shard, d.profile_id, d.segment, s.version, \(instant),
                   jsonb_build_object('version', s.version) || \(evidence)::jsonb
            FROM membership_difference d JOIN segment s ON s.id = d.segment
            WHERE d.segment = ANY(\(binary: segments)) AND d.enters AND \(LeftBehind.exclusion)
            ORDER BY d.shard, d.profile_id, d.segment
            ON CONFLICT (shard, profile_id, segment) DO NOTHING
            """)
    }

    /// Puts everybody into the stage by the next rules, as of an instant; who stays in theirs is in it since when they came.
    static func carryOutStages(
        at instant: Instant, revision: Int64, in session: any PostgresSession
    ) async throws {
        let evidence: JSON = [
            "decidedAt": .string(instant.rfc3339), "cause": Cause.definition(revision: revision).json,
        ]
        _ = try await session.query(
            """
            DELETE FROM profiles.stage s USING stage_difference d
            WHERE d.stage IS NULL AND \(LeftBehind.exclusion) AND s.shard = d.shard AND s.profile_id = d.profile_id
            """)
        _ = try await session.query(
            """
            INSERT INTO profiles.stage (shard, profile_id, stage, version, entered_at, evidence)
            SELECT d.shard, d.profile_id, d.stage, l.version, \(instant),
                   jsonb_build_object('version', l.version) || \(evidence)::jsonb
            FROM stage_difference d CROSS JOIN stage_list l
            WHERE d.stage IS NOT NULL AND \(LeftBehind.exclusion)
            ORDER BY d.shard, d.profile_id
            ON CONFLICT (shard, profile_id) DO UPDATE
            SET stage = excluded.stage, version = excluded.version, entered_at = excluded.entered_at,
                evidence = excluded.evidence
            """)
    }
}
