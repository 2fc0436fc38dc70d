import JourneysDomain
import Models
import Postgres
import Sealing

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
        ("intent", "intent_id, instance_id, step, visit, at, stream_profile, told_profile, withdrawn_by"),
    ]

    /// Hands everything of a merged profile to its survivor. Rows are copied and deleted, since a row of
    /// another profile may be in another shard. Running instances are left out: they are written anew.
    func move(_ loser: ProfileID, to survivor: ProfileID) async throws {
        var statements: [SQL] = [
            Self.pinIntents(of: loser),
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
        var statements: [SQL] = [Self.pinIntents(of: holder)]
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

    /// Hands refusals of one profile to another: whoever is parted from that one later takes them along.
    func hand(_ refusals: [HistoryID], from holder: ProfileID, to profile: ProfileID) async throws {
        guard !refusals.isEmpty,
            let columns = Self.moved.first(where: { $0.table == "instance_history" })?.columns
        else { return }
        try await transaction.execute(
            """
            WITH gone AS (
                DELETE FROM journeys.instance_history
                WHERE shard = \(Shard(holder)) AND history_id = ANY(\(refusals)::uuid[])
                RETURNING \(unsafe: columns)
            )
            INSERT INTO journeys.instance_history (shard, profile_id, \(unsafe: columns))
            SELECT \(Shard(profile))::smallint, \(profile)::uuid, \(unsafe: columns) FROM gone
            """)
    }

    /// What is said of an intent goes on where it was told first, whoever it belongs to by then.
    private static func pinIntents(of profile: ProfileID) -> SQL {
        """
        UPDATE journeys.intent SET stream_profile = profile_id
        WHERE shard = \(Shard(profile)) AND profile_id = \(profile) AND stream_profile IS NULL
        """
    }

    /// Makes a profile stand for itself again, and for those that go with it. What it remembers stays.
    func release(_ members: [ProfileID], to profile: ProfileID) async throws {
        try await transaction.execute(
            """
            UPDATE journeys.profile p
            SET survivor_id = nullif(\(profile)::uuid, p.profile_id),
                memory = CASE WHEN p.profile_id = \(profile) THEN p.memory ELSE '{}' END
            FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, profile_id)
            WHERE p.shard = w.shard AND p.profile_id = w.profile_id
            """)
    }
}
