import Models
import Postgres

enum SnapshotTag {}
typealias SnapshotID = TypedID<SnapshotTag>

/// The members of a segment as they were at one moment.
struct Snapshot {
    var id: SnapshotID
    var segment: String
    /// The version of the rule that was in force.
    var version: Int
    var note: String
    /// How many there were; whoever was erased since is no longer listed.
    var members: Int
    var madeAt: Instant
}

/// Reads and writes snapshots.
enum SnapshotStore {
    /// Keeps who is in a segment now; nil if there is no such segment. In one statement, so that members and version are
    /// of one moment.
    static func make(
        _ id: SnapshotID, of segment: String, note: String, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Snapshot? {
        try await transaction.query(
            """
            WITH wanted AS (
                SELECT id, version FROM segment WHERE id = \(segment) AND deleted_at IS NULL
            ), kept AS (
                INSERT INTO snapshot_member (shard, profile_id, snapshot_id, entered_at)
                SELECT m.shard, m.profile_id, \(id), m.entered_at
                FROM wanted w JOIN profiles.membership m ON m.segment = w.id AND \(MembershipStore.isShown)
                RETURNING 1
            )
            INSERT INTO snapshot (id, segment, version, note, members, made_at)
            SELECT \(id), w.id, w.version, \(note), (SELECT count(*) FROM kept), \(now) FROM wanted w
            RETURNING \(columns)
            """
        ).first.map(read)
    }

    private static let columns: SQL = "id, segment, version, note, members, made_at"

    static func get(_ id: SnapshotID, in session: some PostgresSession) async throws -> Snapshot? {
        try await session.query("SELECT \(columns) FROM snapshot WHERE id = \(id)").first.map(read)
    }

    /// The snapshots of a segment, the latest first, after the one that the last page ended with.
    static func list(
        of segment: String, after place: (at: Instant, id: SnapshotID)?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [Snapshot] {
        let bound: SQL =
            if let place {
                "AND (made_at < \(place.at) OR made_at = \(place.at) AND id > \(place.id))"
            } else {
                ""
            }
        return try await session.query(
            """
            SELECT \(columns) FROM snapshot WHERE segment = \(segment) \(bound)
            ORDER BY made_at DESC, id LIMIT \(limit)
            """
        ).map(read)
    }

    /// Members in a stable order, after the one that the last page ended with; without whoever is restricted by now.
    static func members(
        of id: SnapshotID, after position: ProfileID?, limit: Int, in session: some PostgresSession
    ) async throws -> [(profileID: ProfileID, enteredAt: Instant)] {
        let bound: SQL =
            if let position {
                "AND (shard, profile_id) > (\(Shard(position))::smallint, \(position)::uuid)"
            } else {
                ""
            }
        return try await session.query(
            """
            SELECT profile_id, entered_at FROM snapshot_member m
            WHERE snapshot_id = \(id) \(bound) AND \(MembershipStore.isShown)
            ORDER BY shard, profile_id LIMIT \(limit)
            """
        ).map { (try $0.get("profile_id"), try $0.get("entered_at")) }
    }

    static func delete(_ id: SnapshotID, in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.execute("DELETE FROM snapshot_member WHERE snapshot_id = \(id)")
        return try await transaction.execute("DELETE FROM snapshot WHERE id = \(id)") > 0
    }

    private static func read(_ row: PostgresRow) throws -> Snapshot {
        Snapshot(
            id: try row.get("id"), segment: try row.get("segment"), version: try row.get("version"),
            note: try row.get("note"), members: try row.get("members"), madeAt: try row.get("made_at"))
    }
}
