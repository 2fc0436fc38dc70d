import Models
package import Postgres

/// Brings data keys under the key-encryption key that is in force, batch by batch, while everything runs: what is sealed
/// stays as it is, and each data key opens before and after. It may be stopped and run again at any time.
package struct KeyRewrapping: Sendable {
    /// Data keys in one transaction.
    private static let batch = 1_000

    private let pool: PostgresPool
    private let keys: KeyEncryptionKeys

    /// Needs the owner's rights.
    package init(pool: PostgresPool, keys: KeyEncryptionKeys) {
        self.pool = pool
        self.keys = keys
    }

    /// How many data keys each key-encryption key wraps, by its name.
    package func counts() async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        let tables = ["profiles.data_key"] + (try await schemas()).map { $0 + ".day_key" }
        for table in tables {
            let rows = try await pool.query(
                "SELECT kek_id, count(*) AS n FROM \(unsafe: table) GROUP BY kek_id")
            for row in rows { counts[try row.get("kek_id"), default: 0] += try row.get("n", as: Int.self) }
        }
        return counts
    }

    /// Goes through all data keys once, and tells after each batch how many were wrapped anew.
    package func run(progress: (Int) -> Void = { _ in }) async throws -> Int {
        var done = 0
        for schema in try await schemas() {
            done += try await rewrapDays(of: schema)
            progress(done)
        }
        for shard in Shard.all {
            var position: ProfileID?
            repeat {
                let (count, last) = try await rewrapProfiles(in: shard, after: position)
                done += count
                position = last
                if count > 0 { progress(done) }
            } while position != nil
        }
        return done
    }

    /// The schemas of the services that are installed.
    private func schemas() async throws -> [String] {
        let known = Set(ServiceName.allCases.map(\.schema))
        return try await pool.query(
            """
            SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'day_key' AND c.relkind IN ('r', 'p') ORDER BY n.nspname
            """
        ).map { try $0.get("nspname", as: String.self) }.filter { known.contains($0) }
    }

    private func rewrapDays(of schema: String) async throws -> Int {
        try await pool.transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT day, kek_id, wrapped FROM \(unsafe: schema).day_key WHERE kek_id <> \(keys.currentID)
                ORDER BY day FOR UPDATE
                """)
            let days = try rows.map { try $0.get("day", as: Int64.self) }
            let wrapped = try zip(rows, days).map { row, day in
                try again(row, at: DayKeys.place(of: day, in: schema))
            }
            guard !days.isEmpty else { return 0 }
            return try await transaction.execute(
                """
                UPDATE \(unsafe: schema).day_key k SET kek_id = w.kek_id, wrapped = w.wrapped
                FROM unnest(\(binary: days), \(binary: wrapped.map(\.kekID)), \(wrapped.map(\.bytes))::bytea[])
                     AS w (day, kek_id, wrapped)
                WHERE k.day = w.day
                """)
        }
    }

    private func rewrapProfiles(
        in shard: Shard, after position: ProfileID?
    ) async throws -> (count: Int, last: ProfileID?) {
        try await pool.transaction { transaction in
            let bound: SQL = if let position { "AND profile_id > \(position)" } else { "" }
            let rows = try await transaction.query(
                """
                SELECT profile_id, kek_id, wrapped FROM profiles.data_key
                WHERE shard = \(shard) AND kek_id <> \(keys.currentID) \(bound)
                ORDER BY profile_id LIMIT \(Int64(Self.batch)) FOR UPDATE
                """)
            let ids = try rows.map { try $0.get("profile_id", as: ProfileID.self) }
            guard let last = ids.last else { return (0, nil) }
            let wrapped = try zip(rows, ids).map { row, id in try again(row, at: ProfileKeys.place(of: id)) }
            let count = try await transaction.execute(
                """
                UPDATE profiles.data_key k SET kek_id = w.kek_id, wrapped = w.wrapped
                FROM unnest(\(binary: ids), \(binary: wrapped.map(\.kekID)), \(wrapped.map(\.bytes))::bytea[])
                     AS w (profile_id, kek_id, wrapped)
                WHERE k.shard = \(shard) AND k.profile_id = w.profile_id
                """)
            return (count, ids.count == Self.batch ? last : nil)
        }
    }

    private func again(_ row: PostgresRow, at place: String) throws -> WrappedKey {
        let old = WrappedKey(kekID: try row.get("kek_id"), bytes: try row.get("wrapped"))
        return try keys.wrap(try keys.unwrap(old, at: place), at: place)
    }
}
