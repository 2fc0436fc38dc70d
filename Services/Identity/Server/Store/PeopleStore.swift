import Models
import Postgres
import ProfileStore
import Streams

/// Lists people, and takes away what is known of them.
struct PeopleStore {
    /// Canonical profiles of people who were not erased, after a position, in order of (shard, id).
    func page(
        after position: ProfileID?, limit: Int, in session: some PostgresSession
    ) async throws -> [ProfileID] {
        let bound: SQL =
            if let position {
                "AND (shard, profile_id) > (\(Shard(position))::smallint, \(position)::uuid)"
            } else {
                ""
            }
        let rows = try await session.query(
            """
            SELECT profile_id FROM profiles.profile
            WHERE canonical_id = profile_id AND erased_at IS NULL \(bound)
            ORDER BY shard, profile_id
            LIMIT \(limit)
            """)
        return try rows.map { try $0.get("profile_id") }
    }

    /// The edges that join the profiles of a person, or have joined one with somebody, with what was written about them.
    func merges(
        of memberIDs: [ProfileID], notes: MergeNotes, in session: some PostgresSession
    ) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT merge_id, survivor_id, merged_id, at, cause, undone_at, undo_note, allowed_at, allow_note
            FROM profiles.merge
            WHERE survivor_id = ANY(\(memberIDs)::uuid[]) OR merged_id = ANY(\(memberIDs)::uuid[])
            ORDER BY at, merge_id
            """)
        var merges: [JSON] = []
        for row in rows {
            let id: MergeID = try row.get("merge_id")
            var members: [String: JSON] = [
                "mergeId": .string(id.description),
                "profileId": .string(try row.get("survivor_id", as: ProfileID.self).description),
                "merged": .string(try row.get("merged_id", as: ProfileID.self).description),
                "at": .string(try row.get("at", as: Instant.self).rfc3339),
                "cause": try await notes.opened(cause: try row.get("cause"), of: id),
            ]
            for (name, note) in [("undone", "undo_note"), ("allowed", "allow_note")] {
                guard let at = try row.get("\(name)_at", as: Instant?.self) else { continue }
                let text = try await notes.opened(try row.get(note, as: String?.self), of: id)
                members[name] = ["at": .string(at.rfc3339), "note": text.map { .string($0) } ?? .null]
            }
            merges.append(.object(members))
        }
        return merges
    }

    /// Every profile of the people that the given ones belong to.
    func members(of ids: [ProfileID], in session: some PostgresSession) async throws -> [ProfileID] {
        let rows = try await session.query(
            """
            SELECT m.profile_id
            FROM profiles.profile m
            WHERE m.canonical_id IN (
                SELECT p.canonical_id
                FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
                JOIN profiles.profile p USING (shard, profile_id))
            ORDER BY m.shard, m.profile_id
            """)
        return try rows.map { try $0.get("profile_id") }
    }

    func deleteTraits(of memberIDs: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM profiles.trait t
            USING unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            WHERE t.shard = w.shard AND t.profile_id = w.id
            """)
    }

    /// Takes identifiers from a person, so that nobody is found by them any more. They leave no tombstone: whoever they are
    /// of may come with them.
    func detach(
        _ identifiers: [Identifier], from view: ProfileView, key: IdentifierKey,
        in transaction: PostgresTransaction
    ) async throws {
        guard !identifiers.isEmpty else { return }
        let places = identifiers.map { key.place(of: $0) }.sorted()
        for table in ["identifier_share", "identifier"] {
            try await transaction.execute(
                """
                DELETE FROM profiles.\(unsafe: table) i
                USING unnest(\(binary: places.map(\.shard)), \(binary: places.map(\.kind.rawValue)),
                    \(binary: places.map(\.hash))) AS w (shard, type, value_hash)
                WHERE i.shard = w.shard AND i.type = w.type AND i.value_hash = w.value_hash
                """)
        }
        let left = view.identifiers.map(\.identifier).filter { !identifiers.contains($0) }
        if !left.contains(where: { $0.kind == .userID }) {
            let members = view.person.memberIDs
            try await transaction.execute(
                """
                UPDATE profiles.profile p SET is_known = false
                FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, id)
                WHERE p.shard = w.shard AND p.profile_id = w.id AND p.is_known
                """)
        }
        try await SearchStore(key: key).reindex(view, without: Set(identifiers), in: transaction)
    }

    /// Leaves of each its keyed hash among the tombstones.
    func deleteIdentifiers(
        of memberIDs: [ProfileID], at instant: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            "DELETE FROM profiles.identifier_share WHERE profile_id = ANY(\(memberIDs)::uuid[])")
        try await transaction.execute(
            """
            DELETE FROM profiles.identifier_share s USING profiles.identifier i
            WHERE i.profile_id = ANY(\(memberIDs)::uuid[])
                AND s.shard = i.shard AND s.type = i.type AND s.value_hash = i.value_hash
            """)
        return try await transaction.query(
            """
            WITH gone AS (
                DELETE FROM profiles.identifier WHERE profile_id = ANY(\(memberIDs)::uuid[])
                RETURNING shard, type, value_hash
            )
            INSERT INTO profiles.erased_identifier AS e (shard, type, value_hash, erased_at)
            SELECT shard, type, value_hash, \(instant)::timestamptz FROM gone ORDER BY shard, type, value_hash
            ON CONFLICT (shard, type, value_hash) DO UPDATE SET erased_at = greatest(e.erased_at, excluded.erased_at)
            RETURNING 1
            """
        ).count
    }

    /// Deletes events that were sent under these names and could not be resolved, which lie in quarantine. Returns where
    /// they stand in the raw log.
    func deleteUnresolved(
        _ names: [String], key: IdentifierKey, upTo positions: [Shard: Int64],
        in transaction: PostgresTransaction
    ) async throws -> [(shard: Shard, offset: Int64)] {
        let shards = names.map { Shard(hashing: $0) }
        let rows = try await transaction.query(
            """
            DELETE FROM identity.stream_quarantine q
            USING unnest(\(binary: shards), \(binary: names.map { key.mark(of: $0) }),
                         \(binary: shards.map { positions[$0] ?? 0 })) AS w (shard, key, up_to)
            WHERE q.stream = \(StreamDefinition.events.name) AND q.shard = w.shard AND q.key = w.key
                AND q."offset" <= w.up_to
            RETURNING q.shard, q."offset"
            """)
        return try rows.map { (try $0.get("shard"), try $0.get("offset")) }
    }

    func markErased(
        _ memberIDs: [ProfileID], at instant: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE profiles.profile p
            SET erased_at = \(instant), updated_at = \(instant), is_known = false
            FROM unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            WHERE p.shard = w.shard AND p.profile_id = w.id
            """)
    }
}
