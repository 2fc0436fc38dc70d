import Logging
import Models
import Postgres

/// Which shards of a stream this instance may process, held as PostgreSQL advisory locks of one session.
///
/// The locks die with the connection, so a killed instance frees its shards at once. Instances share evenly:
/// each also holds a shared lock that the others count. A lease is a promise of quiet, not of safety: what
/// makes double processing impossible is the checkpoint, which only moves on from where this instance read it.
actor ShardLeases {
    private let key: Int32
    private let pool: PostgresPool
    private let logger: Logger
    private var connection: PostgresConnection?
    private(set) var held: Set<Shard> = []
    private var checkedAt: ContinuousClock.Instant?

    /// The key under which instances make themselves known, beside the shards' own 0...63.
    private static let membershipKey: Int32 = 1_000

    init(consumer: String, stream: String, pool: PostgresPool, logger: Logger) {
        key = Int32(truncatingIfNeeded: StableHash.hash64("stream-lease", consumer, stream))
        self.pool = pool
        self.logger = logger
    }

    /// Takes free shards up to a fair share and gives up what is beyond it; at most once per `interval`.
    func rebalance(every interval: Duration) async throws -> Set<Shard> {
        if let checkedAt, ContinuousClock.now - checkedAt < interval { return held }
        do {
            let connection = try await open()
            let share = try await fairShare(connection)
            for shard in held.sorted().suffix(max(0, held.count - share)) {
                _ = try await connection.query("SELECT pg_advisory_unlock(\(key), \(Int32(shard.number)))")
                held.remove(shard)
            }
            if held.count < share { try await take(share - held.count, on: connection) }
            checkedAt = .now
            return held
        } catch {
            drop()
            throw error
        }
    }

    /// Gives everything back.
    func release() { drop() }

    private func open() async throws -> PostgresConnection {
        if let connection { return connection }
        let fresh = try await PostgresConnection.open(pool.settings)
        connection = fresh
        _ = try await fresh.query("SELECT pg_advisory_lock_shared(\(key), \(Self.membershipKey))")
        return fresh
    }

    private func fairShare(_ connection: PostgresConnection) async throws -> Int {
        let rows = try await connection.query(
            """
            SELECT count(*) AS instances FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND classid = \(Int64(UInt32(bitPattern: key)))::text::oid
              AND objid = \(Int64(Self.membershipKey))::text::oid AND database =
                  (SELECT oid FROM pg_database WHERE datname = current_database())
            """)
        let instances = Int(try rows.first?.get("instances", as: Int64.self) ?? 1)
        return (Shard.count + max(1, instances) - 1) / max(1, instances)
    }

    private func take(_ wanted: Int, on connection: PostgresConnection) async throws {
        let free = Shard.all.filter { !held.contains($0) }
        let replies = try await connection.pipeline(
            free.map { "SELECT pg_try_advisory_lock(\(key), \(Int32($0.number))) AS taken" })
        var taken: [Shard] = []
        for (shard, rows) in zip(free, replies)
        where try rows.first?.get("taken", as: Bool.self) == true { taken.append(shard) }
        for shard in taken.dropFirst(wanted) {
            _ = try await connection.query("SELECT pg_advisory_unlock(\(key), \(Int32(shard.number)))")
        }
        held.formUnion(taken.prefix(wanted))
    }

    private func drop() {
        held = []
        checkedAt = nil
        // The last reference goes, and with it the connection and its locks.
        connection = nil
    }
}
