import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams

/// The rows that resolving reads and locks. Always in this order: profiles, then (in `StreamWriter`) the heads of the
/// stream, each sorted, so that two instances never wait for each other. Identifiers need no locks of their own: whoever
/// changes one holds the canonical profile of its owner.
struct ResolutionStore {
    let key: IdentifierKey

    /// The owners of those identifiers that are known, and with how many other people each was seen.
    func owners(
        of identifiers: Set<Identifier>, in transaction: PostgresTransaction
    ) async throws -> (owners: [Identifier: ProfileID], shares: [Identifier: Int]) {
        guard !identifiers.isEmpty else { return ([:], [:]) }
        let placed = Dictionary(
            identifiers.map { (key.place(of: $0), $0) }, uniquingKeysWith: { first, _ in first })
        let places = placed.keys.sorted()
        let rows = try await transaction.query(
            """
            SELECT i.shard, i.type, i.value_hash, i.profile_id, i.shared_count
            FROM unnest(\(places.map(\.shard))::smallint[], \(places.map(\.kind.rawValue))::text[],
                        \(places.map(\.hash))::bytea[]) AS w (shard, type, value_hash)
            JOIN profiles.identifier i USING (shard, type, value_hash)
            """)
        var owners: [Identifier: ProfileID] = [:]
        var shares: [Identifier: Int] = [:]
        for row in rows {
            guard let kind = Identifier.Kind(rawValue: try row.get("type")) else { continue }
            let place = IdentifierPlace(
                shard: try row.get("shard"), kind: kind, hash: try row.get("value_hash"))
            guard let identifier = placed[place] else { continue }
            owners[identifier] = try row.get("profile_id")
            let count = try row.get("shared_count", as: Int.self)
            if count > 0 { shares[identifier] = count }
        }
        return (owners, shares)
    }

    /// When each identifier of the people was seen last, by type. Devices are left out where nothing limits them.
    func holdings(
        of roots: [ProfileID], policy: IdentityPolicy, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: [Identifier.Kind: [Instant]]] {
        guard !roots.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT p.canonical_id, i.type, i.last_seen
            FROM profiles.profile p
            JOIN profiles.identifier i ON i.profile_id = p.profile_id
            WHERE p.canonical_id = ANY(\(roots)::uuid[])
                AND (i.type = ANY(\(policy.limited.map(\.kind.rawValue))::text[]) OR i.type LIKE '%:%')
            """)
        var holdings = Dictionary(
            roots.map { ($0, [Identifier.Kind: [Instant]]()) }, uniquingKeysWith: { first, _ in first })
        for row in rows {
            guard let kind = Identifier.Kind(rawValue: try row.get("type")) else { continue }
            holdings[try row.get("canonical_id"), default: [:]][kind, default: []]
                .append(try row.get("last_seen"))
        }
        return holdings
    }

    /// The profiles with these ids and their canonical profiles, these locked until the transaction ends, so
    /// that no merge, undo or erasure comes between.
    func lockProfiles(
        _ ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        guard !ids.isEmpty else { return [] }
        var states: [ProfileID: ProfileState] = [:]
        for state in try await profiles(ids.sorted(), in: transaction) { states[state.id] = state }
        var locked: Set<ProfileID> = []
        while true {
            let wanted = Set(states.values.map(\.canonicalID)).subtracting(locked)
            guard !wanted.isEmpty else { return Array(states.values) }
            for state in try await lock(wanted.sorted(), in: transaction) { states[state.id] = state }
            locked.formUnion(wanted)
            // While we waited for a lock, a profile may have been merged further, or split off again.
            let merged = states.values.filter { $0.canonicalID != $0.id }.map(\.id).sorted()
            guard !merged.isEmpty else { return Array(states.values) }
            for state in try await profiles(merged, in: transaction) { states[state.id] = state }
        }
    }

    /// The undone merges of people whose canonical profiles are locked, and the profiles at their ends.
    func separations(
        of roots: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> (separations: [Separation], ends: [ProfileState]) {
        guard !roots.isEmpty else { return ([], []) }
        let rows = try await transaction.query(
            """
            SELECT m.merge_id, m.survivor_member, m.merged_member
            FROM profiles.profile p
            JOIN profiles.merge m ON m.survivor_member = p.profile_id
            WHERE p.canonical_id = ANY(\(roots)::uuid[]) AND m.undone_at IS NOT NULL AND m.allowed_at IS NULL
            UNION
            SELECT m.merge_id, m.survivor_member, m.merged_member
            FROM profiles.profile p
            JOIN profiles.merge m ON m.merged_member = p.profile_id
            WHERE p.canonical_id = ANY(\(roots)::uuid[]) AND m.undone_at IS NOT NULL AND m.allowed_at IS NULL
            ORDER BY merge_id
            """)
        let separations = try rows.map { row in
            Separation(
                mergeID: try row.get("merge_id"), left: try row.get("survivor_member"),
                right: try row.get("merged_member"))
        }
        let ends = Set(separations.flatMap { [$0.left, $0.right] })
        return (separations, try await profiles(ends.sorted(), in: transaction))
    }

    private func profiles(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        let rows = try await transaction.query(
            """
            SELECT p.profile_id, p.canonical_id, p.created_at, p.is_known, p.erased_at, p.is_separated
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
            SELECT p.profile_id, p.canonical_id, p.created_at, p.is_known, p.erased_at, p.is_separated
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
            isErased: try row.get("erased_at", as: Instant?.self) != nil,
            isSeparated: try row.get("is_separated"))
    }
}
