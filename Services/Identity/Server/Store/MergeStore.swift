import IdentityDomain
import Models
import Postgres

/// A merge as it is stored, whether it stands or was undone.
struct StoredMerge {
    /// What an operator did about it.
    struct Step {
        var at: Instant
        var by: String?
        var note: String?
    }

    /// Evidence that came after it was undone.
    struct Suppressed {
        var count: Int64
        var at: Instant?
        var cause: JSON?
    }

    var id: MergeID
    var survivor: ProfileID
    var merged: ProfileID
    var survivorMember: ProfileID
    var mergedMember: ProfileID
    var ordinal: Int64
    var at: Instant
    var cause: JSON
    var undone: Step?
    var allowed: Step?
    var suppressed: Suppressed

    var edge: MergeEdge {
        MergeEdge(id: id, ordinal: ordinal, survivorMember: survivorMember, mergedMember: mergedMember)
    }
}

/// The SQL of merges.
enum MergeStore {
    /// Which merges a list shows.
    enum Status: String, CaseIterable {
        case active, undone, suppressed, allowed
    }

    private static let columns: SQL = """
        m.merge_id, m.survivor_id, m.merged_id, m.survivor_member, m.merged_member, m.ordinal, m.at, m.cause,
        m.undone_at, m.undone_by, m.undo_note, m.allowed_at, m.allowed_by, m.allow_note,
        m.suppressed_count, m.suppressed_at, m.suppressed_cause
        """

    static func find(_ id: MergeID, in session: some PostgresSession) async throws -> StoredMerge? {
        try await session.query("SELECT \(columns) FROM profiles.merge m WHERE m.merge_id = \(id)")
            .first.map(merge)
    }

    /// Reads a merge and locks it until the transaction ends.
    static func lock(_ id: MergeID, in transaction: PostgresTransaction) async throws -> StoredMerge? {
        try await transaction.query(
            "SELECT \(columns) FROM profiles.merge m WHERE m.merge_id = \(id) FOR UPDATE"
        ).first.map(merge)
    }

    /// The edges that hold the profiles of one person together.
    static func standing(
        among members: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [StoredMerge] {
        try await transaction.query(
            """
            SELECT \(columns) FROM profiles.merge m
            WHERE m.merged_id = ANY(\(members)::uuid[]) AND m.undone_at IS NULL
            ORDER BY m.ordinal
            """
        ).map(merge)
    }

    /// Merges from the latest back, of one person's profiles or of all.
    static func page(
        _ status: Status?, of members: [ProfileID]?, before position: (at: Instant, id: MergeID)?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [StoredMerge] {
        let chosen: SQL =
            switch status {
            case nil: "true"
            case .active: "m.undone_at IS NULL"
            case .undone: "m.undone_at IS NOT NULL AND m.allowed_at IS NULL"
            case .suppressed: "m.undone_at IS NOT NULL AND m.allowed_at IS NULL AND m.suppressed_count > 0"
            case .allowed: "m.allowed_at IS NOT NULL"
            }
        let person: SQL =
            if let members {
                "AND (m.survivor_id = ANY(\(members)::uuid[]) OR m.merged_id = ANY(\(members)::uuid[]))"
            } else {
                ""
            }
        let bound: SQL =
            if let position {
                "AND (m.at, m.merge_id) < (\(position.at)::timestamptz, \(position.id)::uuid)"
            } else {
                ""
            }
        return try await session.query(
            """
            SELECT \(columns) FROM profiles.merge m WHERE \(chosen) \(person) \(bound)
            ORDER BY m.at DESC, m.merge_id DESC LIMIT \(limit)
            """
        ).map(merge)
    }

    /// Takes out an edge; its ends stay known, because they must not be joined again.
    static func undo(
        _ merge: StoredMerge, _ step: StoredMerge.Step, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE profiles.merge
            SET undone_at = \(step.at), undone_by = \(step.by), undo_note = \(step.note),
                survivor_member = \(merge.survivorMember), merged_member = \(merge.mergedMember)
            WHERE merge_id = \(merge.id)
            """)
    }

    /// Writes what edges join now. A row is deleted and inserted, because its shard is that of the survivor.
    static func restate(
        _ joints: [MergeID: MergeForest.Joint], in transaction: PostgresTransaction
    ) async throws {
        guard !joints.isEmpty else { return }
        let joints = joints.sorted { $0.key < $1.key }
        try await transaction.execute(
            """
            WITH w AS (
                SELECT * FROM unnest(
                    \(joints.map(\.key))::uuid[], \(joints.map { Shard($0.value.survivor) })::smallint[],
                    \(joints.map(\.value.survivor))::uuid[], \(joints.map(\.value.merged))::uuid[])
                    AS w (merge_id, shard, survivor_id, merged_id)
            ), gone AS (
                DELETE FROM profiles.merge m USING w WHERE m.merge_id = w.merge_id
                RETURNING m.*
            )
            INSERT INTO profiles.merge
                (shard, merge_id, survivor_id, merged_id, at, cause, undone_at, survivor_member, merged_member,
                 ordinal)
            SELECT w.shard, w.merge_id, w.survivor_id, w.merged_id, gone.at, gone.cause, gone.undone_at,
                   coalesce(gone.survivor_member, gone.survivor_id), coalesce(gone.merged_member, gone.merged_id),
                   gone.ordinal
            FROM gone JOIN w USING (merge_id)
            """)
    }

    /// Makes the profiles a person of their own, and brings both up to what is theirs.
    static func split(
        _ split: MergeSplit, at instant: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE profiles.profile p SET canonical_id = \(split.split)
            FROM unnest(\(split.members.map { Shard($0) })::smallint[], \(split.members)::uuid[]) AS w (shard, id)
            WHERE p.shard = w.shard AND p.profile_id = w.id
            """)
        for id in [split.remaining, split.split] {
            try await transaction.execute(
                """
                UPDATE profiles.profile p
                SET is_separated = true, updated_at = GREATEST(p.updated_at, \(instant)::timestamptz),
                    is_known = EXISTS (
                        SELECT FROM profiles.profile m
                        JOIN profiles.identifier i ON i.profile_id = m.profile_id
                        WHERE m.canonical_id = \(id) AND i.type = 'userId')
                WHERE p.shard = \(Shard(id)) AND p.profile_id = \(id)
                """)
        }
    }

    /// Notes whom the merge had joined, for those who must not decide about them before others have followed.
    static func note(
        undoing id: MergeID, of members: [ProfileID], at instant: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            INSERT INTO profiles.unmerged_profile (shard, profile_id, merge_id, at)
            SELECT shard, profile_id, \(id)::uuid, \(instant)::timestamptz
            FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, profile_id)
            ORDER BY shard, profile_id
            """)
    }

    static func allow(
        _ id: MergeID, _ step: StoredMerge.Step, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE profiles.merge
            SET allowed_at = \(step.at), allowed_by = \(step.by), allow_note = \(step.note)
            WHERE merge_id = \(id)
            """)
    }

    /// Takes out what operators wrote about the profiles' merges.
    static func dropNotes(of members: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            UPDATE profiles.merge
            SET cause = cause - 'note', undo_note = NULL, allow_note = NULL
            WHERE (survivor_id = ANY(\(members)::uuid[]) OR merged_id = ANY(\(members)::uuid[]))
                AND (cause ? 'note' OR undo_note IS NOT NULL OR allow_note IS NOT NULL)
            """)
    }

    private static func merge(_ row: PostgresRow) throws -> StoredMerge {
        let survivor: ProfileID = try row.get("survivor_id")
        let merged: ProfileID = try row.get("merged_id")
        return StoredMerge(
            id: try row.get("merge_id"), survivor: survivor, merged: merged,
            survivorMember: try row.get("survivor_member", as: ProfileID?.self) ?? survivor,
            mergedMember: try row.get("merged_member", as: ProfileID?.self) ?? merged,
            ordinal: try row.get("ordinal"), at: try row.get("at"), cause: try row.get("cause"),
            undone: try row.get("undone_at", as: Instant?.self).map {
                StoredMerge.Step(at: $0, by: try row.get("undone_by"), note: try row.get("undo_note"))
            },
            allowed: try row.get("allowed_at", as: Instant?.self).map {
                StoredMerge.Step(at: $0, by: try row.get("allowed_by"), note: try row.get("allow_note"))
            },
            suppressed: StoredMerge.Suppressed(
                count: try row.get("suppressed_count"), at: try row.get("suppressed_at"),
                cause: try row.get("suppressed_cause")))
    }
}
