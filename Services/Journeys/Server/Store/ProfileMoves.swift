import JourneysDomain
import Models
import Postgres
import Sealing
import Streams

extension ProfileTables {
    private static let moved: [(table: String, columns: String)] = [
        (
            "instance",
            "instance_id, journey_id, version, entered_at, trigger_key, step, due_at, ended_at, end_reason, state"
        ),
        (
            "instance_history",
            "history_id, instance_id, journey_id, version, ordinal, kind, step, at, cause, detail"
        ),
        ("intent", "intent_id, instance_id, step, visit, at"),
    ]

    /// Hands everything of a merged profile to its survivor. Rows are copied and deleted, since a row of
    /// another profile may be in another shard. Running instances are left out: they are written anew.
    func move(_ loser: ProfileID, to survivor: ProfileID) async throws {
        var statements: [SQL] = [
            "DELETE FROM journeys.deadline WHERE shard = \(Shard(loser)) AND profile_id = \(loser)",
            """
            DELETE FROM journeys.instance
            WHERE shard = \(Shard(loser)) AND profile_id = \(loser) AND ended_at IS NULL
            """,
        ]
        for (table, columns) in Self.moved {
            // The moved rows of one shard would collide with their copies there.
            if Shard(loser) == Shard(survivor) {
                statements.append(
                    """
                    UPDATE journeys.\(unsafe: table) SET profile_id = \(survivor)
                    WHERE shard = \(Shard(loser)) AND profile_id = \(loser)
                    """)
                continue
            }
            statements.append(
                """
                INSERT INTO journeys.\(unsafe: table) (shard, profile_id, \(unsafe: columns))
                SELECT \(Shard(survivor))::smallint, \(survivor)::uuid, \(unsafe: columns)
                FROM journeys.\(unsafe: table) WHERE shard = \(Shard(loser)) AND profile_id = \(loser)
                """)
            statements.append(
                """
                DELETE FROM journeys.\(unsafe: table)
                WHERE shard = \(Shard(loser)) AND profile_id = \(loser)
                """)
        }
        statements.append(
            """
            UPDATE journeys.profile SET survivor_id = \(survivor), memory = '{}'
            WHERE shard = \(Shard(loser)) AND profile_id = \(loser)
            """)
        // Whoever was merged into the loser before belongs to its survivor now.
        statements.append(
            "UPDATE journeys.profile SET survivor_id = \(survivor) WHERE survivor_id = \(loser)")
        try await transaction.pipeline(statements)
    }

    /// Hands passages of one profile to another, with their history and the keys of their intents. The passages
    /// themselves are written anew.
    func hand(_ instances: [InstanceID], from holder: ProfileID, to profile: ProfileID) async throws {
        guard !instances.isEmpty else { return }
        var statements: [SQL] = []
        for (table, columns) in Self.moved where table != "instance" {
            statements.append(
                """
                WITH gone AS (
                    DELETE FROM journeys.\(unsafe: table)
                    WHERE shard = \(Shard(holder)) AND instance_id = ANY(\(instances)::uuid[])
                    RETURNING \(unsafe: columns)
                )
                INSERT INTO journeys.\(unsafe: table) (shard, profile_id, \(unsafe: columns))
                SELECT \(Shard(profile))::smallint, \(profile)::uuid, \(unsafe: columns) FROM gone
                """)
        }
        for table in ["instance", "deadline"] {
            statements.append(
                """
                DELETE FROM journeys.\(unsafe: table)
                WHERE shard = \(Shard(holder)) AND instance_id = ANY(\(instances)::uuid[])
                """)
        }
        try await transaction.pipeline(statements)
    }

    /// Makes a profile stand for itself again, and for those that go with it.
    func release(_ members: [ProfileID], to profile: ProfileID) async throws {
        try await transaction.execute(
            """
            UPDATE journeys.profile p SET survivor_id = nullif(\(profile)::uuid, p.profile_id)
            FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, profile_id)
            WHERE p.shard = w.shard AND p.profile_id = w.profile_id
            """)
    }

    /// Deletes everything of the profiles and of those merged into them. Returns how many rows of each table.
    func erase(_ ids: [ProfileID], at now: Instant) async throws -> [String: Int] {
        let merged = try await transaction.query(
            "SELECT profile_id FROM journeys.profile WHERE survivor_id = ANY(\(ids)::uuid[])")
        let all = Array(Set(ids + (try merged.map { try $0.get("profile_id", as: ProfileID.self) }))).sorted()
        var counts: [String: Int] = [:]
        for table in ["deadline", "instance", "instance_history", "intent", "profile"] {
            counts[table] = try await transaction.execute(
                """
                DELETE FROM journeys.\(unsafe: table) t
                USING unnest(\(all.map { Shard($0) })::smallint[], \(all)::uuid[]) AS w (shard, profile_id)
                WHERE t.shard = w.shard AND t.profile_id = w.profile_id
                """)
        }
        // Offsets must stay gapless, so the records stay; what they told about the person goes.
        counts["stream_intents"] = try await StreamHistory(.intents, sealing: vault.days).rewrite(
            all.map { (Shard($0), $0.description) }, at: now, in: transaction
        ) { body in
            guard var members = body.object else { return body }
            members["variables"] = [:]
            return .object(members)
        }
        return counts
    }
}
