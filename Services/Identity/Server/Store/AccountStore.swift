import IdentityDomain
import Models
import Postgres
import Sealing

/// The SQL of accounts.
enum AccountStore {
    /// Statements that write what group calls told, in one order, so that two instances never wait for each other.
    static func writes(_ changes: AccountChanges, under key: DayKey?) throws -> [SQL] {
        guard !changes.isEmpty, let key else { return [] }
        let accounts = changes.accounts.sorted { order($0.key, $1.key) }
        var statements: [SQL] = [
            """
            INSERT INTO profiles.account AS a (shard, group_id, created_at, updated_at)
            SELECT w.shard, w.id, w.at, w.at
            FROM unnest(\(accounts.map { Shard(hashing: $0.key) })::smallint[], \(accounts.map(\.key))::text[],
                        \(accounts.map(\.value))::timestamptz[]) AS w (shard, id, at)
            ON CONFLICT (shard, group_id) DO UPDATE SET updated_at = GREATEST(a.updated_at, excluded.updated_at)
            """
        ]
        let traits = changes.traits.sorted {
            $0.key.groupID != $1.key.groupID
                ? order($0.key.groupID, $1.key.groupID) : $0.key.name.precedesInUTF8($1.key.name)
        }
        if !traits.isEmpty {
            // Of nobody's profile, and yet a sole trader's may have an address and a number.
            let values = try traits.map { name, write in
                try key.seal(write.entry.value, at: place(of: name.name, of: name.groupID))
            }
            statements.append(
                """
                INSERT INTO profiles.account_trait AS t
                    (shard, group_id, name, value, occurred_at, message_id, source_id)
                SELECT * FROM unnest(
                    \(traits.map { Shard(hashing: $0.key.groupID) })::smallint[], \(traits.map(\.key.groupID))::text[],
                    \(traits.map(\.key.name))::text[], \(values)::jsonb[],
                    \(traits.map(\.value.entry.stamp.at))::timestamptz[],
                    \(traits.map(\.value.entry.stamp.messageID))::text[], \(traits.map(\.value.sourceID))::uuid[])
                ON CONFLICT (shard, group_id, name) DO UPDATE
                SET value = excluded.value, occurred_at = excluded.occurred_at,
                    message_id = excluded.message_id, source_id = excluded.source_id
                WHERE (t.occurred_at, t.message_id) < (excluded.occurred_at, excluded.message_id)
                """)
        }
        let members = changes.members.sorted {
            $0.key.groupID != $1.key.groupID
                ? order($0.key.groupID, $1.key.groupID) : $0.key.profileID < $1.key.profileID
        }
        statements.append(
            """
            INSERT INTO profiles.account_member AS m (shard, group_id, profile_id, first_seen, last_seen)
            SELECT * FROM unnest(
                \(members.map { Shard(hashing: $0.key.groupID) })::smallint[], \(members.map(\.key.groupID))::text[],
                \(members.map(\.key.profileID))::uuid[], \(members.map(\.value.first))::timestamptz[],
                \(members.map(\.value.last))::timestamptz[])
            ON CONFLICT (shard, group_id, profile_id) DO UPDATE
            SET first_seen = LEAST(m.first_seen, excluded.first_seen),
                last_seen = GREATEST(m.last_seen, excluded.last_seen)
            """)
        return statements
    }

    private static func order(_ left: String, _ right: String) -> Bool {
        let (one, other) = (Shard(hashing: left), Shard(hashing: right))
        return one != other ? one < other : left.precedesInUTF8(right)
    }

    /// Where the value of a trait is sealed, under identity's key of the day.
    private static func place(of name: String, of group: String) -> String {
        "profiles.account_trait.value \(group) \(name)"
    }

    /// An account as the API shows it; nil where no call told of it.
    static func account(
        _ id: String, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> JSON? {
        let shard = Shard(hashing: id)
        let row = try await transaction.query(
            """
            SELECT created_at, updated_at,
                   (SELECT count(DISTINCT p.canonical_id) FROM profiles.account_member m
                    JOIN profiles.profile p ON p.profile_id = m.profile_id AND p.erased_at IS NULL
                    WHERE m.shard = a.shard AND m.group_id = a.group_id) AS members
            FROM profiles.account a WHERE shard = \(shard) AND group_id = \(id)
            """
        ).first
        guard let row else { return nil }
        let traits = try await transaction.query(
            """
            SELECT name, value, occurred_at, message_id, source_id FROM profiles.account_trait
            WHERE shard = \(shard) AND group_id = \(id)
            """)
        var values: [String: JSON] = [:]
        for trait in traits {
            let name: String = try trait.get("name")
            let value = try await vault.days.open(
                try trait.get("value", as: JSON.self), at: place(of: name, of: id))
            if value.isNull { continue }
            values[name] = [
                "value": value, "occurredAt": .string(try trait.get("occurred_at", as: Instant.self).rfc3339),
                "messageId": .string(try trait.get("message_id")),
                "sourceId": .string(try trait.get("source_id", as: SourceID.self).description),
            ]
        }
        return [
            "groupId": .string(id), "traits": .object(values),
            "members": .integer(try row.get("members", as: Int64.self)),
            "createdAt": .string(try row.get("created_at", as: Instant.self).rfc3339),
            "updatedAt": .string(try row.get("updated_at", as: Instant.self).rfc3339),
        ]
    }

    /// People who belong to an account, in the order of their ids.
    static func members(
        of id: String, after position: ProfileID?, limit: Int, in session: some PostgresSession
    ) async throws -> [(id: ProfileID, first: Instant, last: Instant)] {
        let bound: SQL = if let position { "AND p.canonical_id > \(position)" } else { "" }
        return try await session.query(
            """
            SELECT p.canonical_id, min(m.first_seen) AS first_seen, max(m.last_seen) AS last_seen
            FROM profiles.account_member m
            JOIN profiles.profile p ON p.profile_id = m.profile_id AND p.erased_at IS NULL
            WHERE m.shard = \(Shard(hashing: id)) AND m.group_id = \(id) \(bound)
            GROUP BY p.canonical_id ORDER BY p.canonical_id LIMIT \(limit)
            """
        ).map { (try $0.get("canonical_id"), try $0.get("first_seen"), try $0.get("last_seen")) }
    }

    static func deleteMembers(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "DELETE FROM profiles.account_member WHERE profile_id = ANY(\(profiles)::uuid[])")
    }
}
