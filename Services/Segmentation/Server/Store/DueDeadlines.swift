import Models
import Postgres
import Streams

/// Deadlines that are due. While history is being read, which is where there is an earliest instant, those that were put off
/// wait as well: when they were due at first is not known any more.
extension StateStore {
    /// How many deadlines there are between two instants, counted up to a limit.
    static func countDue(
        from earliest: Instant, upTo now: Instant, limit: Int, in session: some PostgresSession
    ) async throws -> Int {
        try await session.query(
            """
            SELECT count(*) AS n FROM (
                SELECT FROM deadline WHERE due_at BETWEEN \(earliest) AND \(now) AND (attempts = 0 OR \(earliest == .distantPast)::boolean) LIMIT \(limit)) AS due
            """
        ).first?.get("n") ?? 0
    }

    /// Locks and reads those with the earliest deadlines between two instants, in due order, without waiting for anybody:
    /// whose state somebody else has locked is left out.
    func lockDue(
        in shards: [Shard], of profile: ProfileID? = nil, from earliest: Instant, upTo now: Instant,
        limit: Int
    ) async throws -> [(id: ProfileID, at: Instant, state: Stored)] {
        let one: SQL = profile.map { "AND d.profile_id = \($0)" } ?? ""
        let rows = try await transaction.query(
            """
            SELECT s.profile_id, s.state, d.due_at
            FROM deadline d JOIN profile_state s ON s.shard = d.shard AND s.profile_id = d.profile_id
            WHERE d.due_at BETWEEN \(earliest) AND \(now)
                AND (d.attempts = 0 OR \(earliest == .distantPast)::boolean) AND d.shard = ANY(\(shards)::smallint[]) \(one)
            ORDER BY d.due_at, d.shard, d.profile_id LIMIT \(limit)
            FOR UPDATE OF s SKIP LOCKED
            """)
        var found: [(id: ProfileID, at: Instant, state: Stored)] = []
        for row in rows {
            found.append(
                (
                    try row.get("profile_id"), try row.get("due_at"),
                    try await Self.stored(row, registry, in: transaction)
                ))
        }
        return found
    }

    /// The profiles with the earliest deadlines between two instants, in due order; their states are not looked at.
    static func due(
        in shards: [Shard], from earliest: Instant, upTo now: Instant, limit: Int,
        in session: some PostgresSession
    ) async throws -> [(id: ProfileID, at: Instant)] {
        try await session.query(
            """
            SELECT profile_id, due_at FROM deadline
            WHERE due_at BETWEEN \(earliest) AND \(now) AND (attempts = 0 OR \(earliest == .distantPast)::boolean) AND shard = ANY(\(shards)::smallint[])
            ORDER BY due_at, shard, profile_id LIMIT \(limit)
            """
        ).map { (try $0.get("profile_id"), try $0.get("due_at")) }
    }

    /// Has a deadline that could not be fired tried again later: after a second, and twice as long each time, up to a limit.
    /// What the state says of its instant stays. Returns how often it has been tried in a row; nil if somebody else had it
    /// fired in the meantime.
    static func putOff(
        _ id: ProfileID, dueAt due: Instant, now: Instant, within limit: Duration,
        in session: some PostgresSession
    ) async throws -> Int? {
        try await session.query(
            """
            UPDATE deadline
            SET due_at = \(now)::timestamptz + least(\(limit.milliseconds / 1_000), power(2, attempts)) * interval '1 second',
                attempts = least(attempts + 1, 1000)
            WHERE shard = \(Shard(id)) AND profile_id = \(id) AND due_at = \(due)
            RETURNING attempts
            """
        ).first?.get("attempts")
    }

    /// Whether rules that come into force would have to wait for deadlines that are put off. They go on without those that
    /// could not be fired again and again; of many that is hardly the fault of each, and may pass.
    static func hasPutOff(in session: some PostgresSession) async throws -> Bool {
        let row = try await session.query(
            """
            SELECT count(*) AS n, count(*) FILTER (WHERE attempts < \(enoughAttempts)) AS few
            FROM (SELECT attempts FROM deadline WHERE attempts > 0 LIMIT \(mostLeftOut + 1)) AS w
            """
        ).first
        guard let row else { return false }
        return try row.get("few", as: Int.self) > 0 || row.get("n", as: Int.self) > mostLeftOut
    }

    /// After so many attempts in a row one is gone on without.
    private static let enoughAttempts = 3
    /// The most that are gone on without.
    private static let mostLeftOut = 100
}
