import Models
import Postgres
import Sealing

/// The SQL of accounts.
enum AccountStore {
    /// On which channel it is told that members have to be told of something.
    static let channel = "segmentation_accounts"

    /// The order in which accounts are locked.
    static func order(_ left: String, _ right: String) -> Bool {
        let (one, other) = (Shard(hashing: left), Shard(hashing: right))
        return one != other ? one < other : left.precedesInUTF8(right)
    }

    private static func shards(_ groups: [String]) -> [Shard] { groups.map { Shard(hashing: $0) } }

    private static func place(of name: String, of group: String) -> String {
        "segmentation.account_trait.value \(group) \(name)"
    }

    /// Locks accounts, which come in order, making those that are missing.
    static func lock(_ groups: [String], in transaction: PostgresTransaction) async throws {
        _ = try await transaction.pipeline([
            """
            INSERT INTO account (shard, group_id)
            SELECT * FROM unnest(\(shards(groups))::smallint[], \(groups)::text[]) ON CONFLICT DO NOTHING
            """,
            """
            SELECT FROM unnest(\(shards(groups))::smallint[], \(groups)::text[]) AS w (shard, id)
            JOIN account a ON a.shard = w.shard AND a.group_id = w.id
            ORDER BY a.shard, a.group_id FOR UPDATE OF a
            """,
        ])
    }

    /// What is known of accounts' traits with these names.
    static func traits(
        of groups: some Collection<String>, named names: Set<String>, vault: Vault,
        in session: some PostgresSession
    ) async throws -> [String: [String: AccountKnowledge.Told]] {
        guard !groups.isEmpty, !names.isEmpty else { return [:] }
        let groups = Array(groups)
        let rows = try await session.query(
            """
            SELECT t.group_id, t.name, t.value, t.occurred_at, t.message_id, t.told_shard, t.told_offset
            FROM unnest(\(shards(groups))::smallint[], \(groups)::text[]) AS w (shard, id)
            JOIN account_trait t ON t.shard = w.shard AND t.group_id = w.id
            WHERE t.name = ANY(\(names.sorted())::text[])
            """)
        var found: [String: [String: AccountKnowledge.Told]] = [:]
        for row in rows {
            let (group, name): (String, String) = (try row.get("group_id"), try row.get("name"))
            found[group, default: [:]][name] = AccountKnowledge.Told(
                value: try await vault.days.openJSON(try row.get("value"), at: place(of: name, of: group)),
                at: try row.get("occurred_at"), messageID: try row.get("message_id"),
                position: TimelinePosition(
                    shard: try row.get("told_shard"), offset: try row.get("told_offset")))
        }
        return found
    }

    /// The accounts that profiles belong to, they or those merged into them; `changing` for those alone whose members are yet
    /// to be told of something.
    static func groups(
        of profiles: some Collection<ProfileID>, changing: Bool = false, in session: some PostgresSession
    ) async throws -> [ProfileID: [String]] {
        guard !profiles.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            WITH RECURSIVE member (root, id) AS (
                SELECT w.id, w.id FROM unnest(\(Array(profiles))::uuid[]) AS w (id)
                UNION
                SELECT m.root, e.merged_id
                FROM member m JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            )
            SELECT DISTINCT m.root, a.group_id
            FROM member m JOIN account_member a ON a.profile_id = m.id
            WHERE NOT \(changing)::boolean
                OR EXISTS (SELECT FROM account_change c WHERE c.shard = a.shard AND c.group_id = a.group_id)
            ORDER BY m.root, a.group_id
            """)
        var found: [ProfileID: [String]] = [:]
        for row in rows { found[try row.get("root"), default: []].append(try row.get("group_id")) }
        return found
    }

    /// Whether members are yet to be told of something.
    static func hasChanges(in session: some PostgresSession) async throws -> Bool {
        try await !session.query(
            "SELECT FROM account_change WHERE position IS NOT NULL OR since <= clock_timestamp() LIMIT 1"
        ).isEmpty
    }

    /// What is known of the accounts of profiles, by profile and account.
    static func standing(
        of profiles: some Collection<ProfileID>, named names: Set<String>, changing: Bool = false,
        vault: Vault, in session: some PostgresSession
    ) async throws -> [ProfileID: [(group: String, traits: [String: AccountKnowledge.Told])]] {
        guard !names.isEmpty else { return [:] }
        let groups = try await groups(of: profiles, changing: changing, in: session)
        let known = try await traits(
            of: Set(groups.values.joined()), named: names, vault: vault, in: session)
        return groups.mapValues { $0.compactMap { group in known[group].map { (group, $0) } } }
    }

    // MARK: Writing

    static func write(members: [(group: String, profile: ProfileID)]) -> SQL {
        """
        INSERT INTO account_member (shard, group_id, profile_id)
        SELECT * FROM unnest(\(shards(members.map(\.group)))::smallint[], \(members.map(\.group))::text[],
                             \(members.map(\.profile))::uuid[])
        ON CONFLICT DO NOTHING
        """
    }

    static func write(
        traits: [(group: String, name: String, told: AccountKnowledge.Told)], under key: DayKey
    ) throws -> SQL {
        let values = try traits.map {
            try key.seal($0.told.value.compact, at: place(of: $0.name, of: $0.group))
        }
        return """
            INSERT INTO account_trait AS t
                (shard, group_id, name, value, occurred_at, message_id, told_shard, told_offset)
            SELECT * FROM unnest(
                \(shards(traits.map(\.group)))::smallint[], \(traits.map(\.group))::text[],
                \(traits.map(\.name))::text[], \(values)::text[], \(traits.map(\.told.at))::timestamptz[],
                \(traits.map(\.told.messageID))::text[],
                \(traits.map { $0.told.position?.shard ?? Shard(hashing: $0.group) })::smallint[],
                \(traits.map { $0.told.position?.offset ?? 0 })::bigint[])
            ON CONFLICT (shard, group_id, name) DO UPDATE
            SET value = excluded.value, occurred_at = excluded.occurred_at, message_id = excluded.message_id,
                told_shard = excluded.told_shard, told_offset = excluded.told_offset
            """
    }

    /// Has the members of accounts told of what has changed, where there are others than the one who is named.
    static func tell(_ groups: [(group: String, but: ProfileID)]) -> SQL {
        """
        INSERT INTO account_change AS c (shard, group_id)
        SELECT w.shard, w.id
        FROM unnest(\(shards(groups.map(\.group)))::smallint[], \(groups.map(\.group))::text[],
                    \(groups.map(\.but))::uuid[]) AS w (shard, id, but)
        WHERE EXISTS (SELECT FROM account_member m
                      WHERE m.shard = w.shard AND m.group_id = w.id AND m.profile_id <> w.but)
        ON CONFLICT (shard, group_id) DO UPDATE SET again = true, since = least(c.since, clock_timestamp())
        """
    }

    /// Has all members of accounts told of what stands.
    static func tellAll(_ groups: [String]) -> SQL {
        """
        INSERT INTO account_change AS c (shard, group_id)
        SELECT * FROM unnest(\(shards(groups))::smallint[], \(groups)::text[])
        ON CONFLICT (shard, group_id) DO UPDATE SET again = true, since = least(c.since, clock_timestamp())
        """
    }

    static func notify(in session: some PostgresSession) async throws {
        _ = try await session.query("SELECT pg_notify(\(channel), '')")
    }
}
