import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams

/// The rows that resolving reads and locks. Always in this order: identifiers, then profiles, then (in
/// `StreamWriter`) the heads of the stream, each sorted, so that two instances never wait for each other.
struct ResolutionStore {
    let key: IdentifierKey

    /// The owners of those identifiers that are known, locked until the transaction ends.
    func lockOwners(
        of identifiers: Set<Identifier>, in transaction: PostgresTransaction
    ) async throws -> [Identifier: ProfileID] {
        guard !identifiers.isEmpty else { return [:] }
        let placed = Dictionary(
            identifiers.map { (key.place(of: $0), $0) }, uniquingKeysWith: { first, _ in first })
        let places = placed.keys.sorted()
        let rows = try await transaction.query(
            """
            SELECT i.shard, i.type, i.value_hash, i.profile_id
            FROM unnest(\(places.map(\.shard))::smallint[], \(places.map(\.kind.rawValue))::text[],
                        \(places.map(\.hash))::bytea[]) AS w (shard, type, value_hash)
            JOIN profiles.identifier i USING (shard, type, value_hash)
            ORDER BY i.shard, i.type, i.value_hash
            FOR UPDATE OF i
            """)
        var owners: [Identifier: ProfileID] = [:]
        for row in rows {
            guard let kind = Identifier.Kind(rawValue: try row.get("type")) else { continue }
            let place = IdentifierPlace(
                shard: try row.get("shard"), kind: kind, hash: try row.get("value_hash"))
            if let identifier = placed[place] { owners[identifier] = try row.get("profile_id") }
        }
        return owners
    }

    /// The profiles with these ids and their canonical profiles, these locked until the transaction ends, so
    /// that no merge or erasure comes between.
    func lockProfiles(
        _ ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        guard !ids.isEmpty else { return [] }
        var states: [ProfileID: ProfileState] = [:]
        for state in try await profiles(ids.sorted(), in: transaction) { states[state.id] = state }
        var wanted = Set(states.values.map(\.canonicalID))
        while !wanted.isEmpty {
            let locked = try await lock(wanted.sorted(), in: transaction)
            for state in locked { states[state.id] = state }
            // Merged into another while we waited for its lock: follow.
            wanted = Set(locked.map(\.canonicalID).filter { states[$0]?.canonicalID != $0 })
        }
        return Array(states.values)
    }

    private func profiles(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        let rows = try await transaction.query(
            """
            SELECT p.profile_id, p.canonical_id, p.created_at, p.is_known, p.erased_at
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
            JOIN profiles.profile p USING (shard, profile_id)
            """)
        return try rows.map(Self.state)
    }

    private func lock(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        let rows = try await transaction.query(
            """
            SELECT p.profile_id, p.canonical_id, p.created_at, p.is_known, p.erased_at
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS w (shard, profile_id)
            JOIN profiles.profile p USING (shard, profile_id)
            ORDER BY p.shard, p.profile_id
            FOR UPDATE OF p
            """)
        return try rows.map(Self.state)
    }

    private static func state(_ row: PostgresRow) throws -> ProfileState {
        ProfileState(
            id: try row.get("profile_id"), canonicalID: try row.get("canonical_id"),
            createdAt: try row.get("created_at"), isKnown: try row.get("is_known"),
            isErased: try row.get("erased_at", as: Instant?.self) != nil)
    }
}
