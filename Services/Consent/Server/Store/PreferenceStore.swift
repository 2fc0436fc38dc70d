import ConsentDomain
import Models
import Postgres

/// The SQL of what devices have said last.
enum PreferenceStore {
    /// What is known of the keys.
    static func read(
        _ keys: Set<PreferenceReport.Key>, in transaction: PostgresTransaction
    ) async throws -> [PreferenceReport.Key: PreferenceReport] {
        guard !keys.isEmpty else { return [:] }
        let keys = Array(keys)
        let rows = try await transaction.query(
            """
            SELECT w.n, r.action, r.at
            FROM unnest(\(binary: keys.map { Shard($0.profileID) }), \(binary: keys.map(\.profileID)),
                        \(binary: keys.map(\.device)), \(binary: keys.map(\.purpose)))
                 WITH ORDINALITY AS w (shard, profile_id, device, purpose, n)
            JOIN reported_preference r USING (shard, profile_id, device, purpose)
            """)
        var known: [PreferenceReport.Key: PreferenceReport] = [:]
        for row in rows {
            let key = keys[try row.get("n", as: Int.self) - 1]
            known[key] = PreferenceReport(key, try LedgerStore.action(row), at: try row.get("at"))
        }
        return known
    }

    /// Keeps what is new: another word, or the same an hour later.
    static func keep(_ reports: [PreferenceReport], in transaction: PostgresTransaction) async throws {
        guard !reports.isEmpty else { return }
        let keys = reports.map(\.key)
        try await transaction.execute(
            """
            INSERT INTO reported_preference AS r (shard, profile_id, device, purpose, action, at)
            SELECT * FROM unnest(\(keys.map { Shard($0.profileID) })::smallint[], \(keys.map(\.profileID))::uuid[],
                \(keys.map(\.device))::text[], \(keys.map(\.purpose))::text[],
                \(reports.map(\.action.rawValue))::text[], \(reports.map(\.at))::timestamptz[])
                AS n (shard, profile_id, device, purpose, action, at)
            ORDER BY shard, profile_id, device, purpose
            ON CONFLICT (shard, profile_id, device, purpose) DO UPDATE
            SET action = excluded.action, at = excluded.at WHERE r.at <= excluded.at
            """)
    }

    /// What the devices of profiles have said, for a request of access.
    static func reports(
        of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [JSON] {
        try await transaction.query(
            """
            SELECT r.profile_id, r.purpose, r.action, r.at
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k (shard, profile_id)
            JOIN reported_preference r USING (shard, profile_id) ORDER BY r.at
            """
        ).map { row in
            [
                "profileId": .string(try row.get("profile_id", as: ProfileID.self).description),
                "purpose": .string(try row.get("purpose")), "action": .string(try row.get("action")),
                "at": .string(try row.get("at", as: Instant.self).rfc3339),
            ]
        }
    }

    static func remove(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM reported_preference r
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k (shard, profile_id)
            WHERE r.shard = k.shard AND r.profile_id = k.profile_id
            """)
    }
}
