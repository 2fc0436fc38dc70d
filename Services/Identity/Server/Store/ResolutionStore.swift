import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import Streams

/// The rows that resolving reads, and the locks under which it reads them.
///
/// Whoever changes who a person is, by a batch of events, a merge, an undo or an erasure, holds the shard of the canonical
/// profile by an advisory lock until the transaction ends, and reads under it. A lock of each row would write to each row:
/// half of what a batch writes, for people about whom nothing changes. The appends to the timeline lock the heads of the
/// same shards, so nobody waits for longer. The order is always this: shards, ascending, then (in `StreamWriter`) heads,
/// ascending, so two instances never wait for each other. Identifiers need no locks of their own: whoever changes one
/// holds the canonical profile of its owner.
struct ResolutionStore {
    let key: IdentifierKey

    /// What is stored of identifiers and of the people that they lead to.
    struct Met {
        var owners: [Identifier: ProfileID] = [:]
        /// With how many other people an identifier was seen.
        var shares: [Identifier: Int] = [:]
        var seen: [Identifier: ResolverChanges.Seen] = [:]
        /// The owners, the profiles that were named besides, and the canonical profiles of all these.
        var profiles: [ProfileID: ProfileState] = [:]
        /// The keys of the owners, in rows for `ProfileKeys`.
        var keys: [PostgresRow] = []
    }

    /// From so many identifiers on all shards are locked at once: they are on most of them anyway.
    private static let many = 64

    /// The owners of the identifiers that are known, and the people that these and the ids lead to, locked.
    func meet(
        _ identifiers: Set<Identifier>, naming ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> Met {
        let places = identifiers.map { (place: key.place(of: $0), identifier: $0) }
            .sorted { $0.place < $1.place }
        let ahead = places.count < Self.many ? [] : Shard.all
        return try await reading(under: ahead, in: transaction) {
            var met = try await owners(places, in: transaction)
            try await addProfiles(ids, to: &met.profiles, in: transaction)
            return (met, met.profiles)
        }
    }

    /// Reads, locks what the people read are on, and reads again, until everything was read under its lock.
    private func reading<Result>(
        under ahead: [Shard] = [], in transaction: PostgresTransaction,
        _ read: () async throws -> (Result, [ProfileID: ProfileState])
    ) async throws -> Result {
        var held: Set<Shard> = []
        try await lock(ahead, in: transaction)
        held.formUnion(ahead)
        while true {
            let (result, profiles) = try await read()
            let wanted = Set(profiles.values.map { Shard($0.canonicalID) }).subtracting(held)
            guard !wanted.isEmpty else { return result }
            try await lock(wanted.sorted(), in: transaction)
            held.formUnion(wanted)
        }
    }

    private static let lockClass = Int32(truncatingIfNeeded: StableHash.hash64("identity people"))

    private func lock(_ shards: [Shard], in transaction: PostgresTransaction) async throws {
        guard !shards.isEmpty else { return }
        _ = try await transaction.query(
            """
            SELECT count(pg_advisory_xact_lock(\(Self.lockClass)::int, w.shard::int))
            FROM (SELECT shard FROM unnest(\(binary: shards)) AS s (shard) ORDER BY shard) w
            """)
    }

    private func owners(
        _ places: [(place: IdentifierPlace, identifier: Identifier)], in transaction: PostgresTransaction
    ) async throws -> Met {
        var met = Met()
        guard !places.isEmpty else { return met }
        let rows = try await transaction.query(
            """
            SELECT w.n, i.shared_count, i.first_seen, i.last_seen, p.profile_id, \(Self.columns),
                k.kek_id, k.wrapped, k.created_at < now() AS is_settled
            FROM unnest(\(binary: places.map(\.place.shard)), \(binary: places.map(\.place.kind.rawValue)),
                        \(binary: places.map(\.place.hash))) WITH ORDINALITY AS w (shard, type, value_hash, n)
            JOIN profiles.identifier i USING (shard, type, value_hash)
            JOIN profiles.profile p ON p.profile_id = i.profile_id
            LEFT JOIN profiles.data_key k ON k.shard = p.shard AND k.profile_id = p.profile_id
            """)
        met.keys = try rows.filter { try $0.get("kek_id", as: String?.self) != nil }
        for row in rows {
            let identifier = places[try row.get("n", as: Int.self) - 1].identifier
            let state = try Self.state(row)
            met.profiles[state.id] = state
            met.owners[identifier] = state.id
            met.seen[identifier] = ResolverChanges.Seen(
                first: try row.get("first_seen"), last: try row.get("last_seen"))
            let count = try row.get("shared_count", as: Int.self)
            if count > 0 { met.shares[identifier] = count }
        }
        return met
    }

    /// Adds profiles, and the canonical profiles of all.
    private func addProfiles(
        _ ids: Set<ProfileID>, to profiles: inout [ProfileID: ProfileState],
        in transaction: PostgresTransaction
    ) async throws {
        var missing = ids.subtracting(profiles.keys)
        for _ in 0..<2 {
            if !missing.isEmpty {
                for state in try await self.profiles(missing.sorted(), in: transaction) {
                    profiles[state.id] = state
                }
            }
            missing = Set(profiles.values.map(\.canonicalID)).subtracting(profiles.keys)
        }
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

    /// The profiles with these ids and their canonical profiles, locked until the transaction ends, so that no merge,
    /// undo or erasure comes between.
    func lockProfiles(
        _ ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        guard !ids.isEmpty else { return [] }
        return try await reading(in: transaction) {
            var profiles: [ProfileID: ProfileState] = [:]
            try await addProfiles(ids, to: &profiles, in: transaction)
            return (Array(profiles.values), profiles)
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

    private static let columns: SQL = "p.canonical_id, p.created_at, p.is_known, p.erased_at, p.is_separated"

    private func profiles(
        _ ids: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [ProfileState] {
        let rows = try await transaction.query(
            """
            SELECT p.profile_id, \(Self.columns)
            FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, profile_id)
            JOIN profiles.profile p USING (shard, profile_id)
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
