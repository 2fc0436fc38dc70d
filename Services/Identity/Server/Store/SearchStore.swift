import IdentityDomain
import Models
import Postgres
import ProfileStore

/// The index of beginnings of names and identifiers, which holds nothing but keyed hashes.
struct SearchStore {
    let key: IdentifierKey
    /// Hashes that are kept of one field of a profile, the latest: some fifty addresses.
    private static let mostHashes = 512

    /// What makes the new identifiers and names of a batch findable; nil when there are none.
    func index(_ changes: ResolverChanges) -> SQL? {
        var terms: [Place: Set<String>] = [:]
        for (identifier, claim) in changes.claims {
            guard let field = SearchField(identifier: identifier.kind) else { continue }
            terms[Place(profileID: claim.profileID, field: field), default: []]
                .formUnion(field.terms(of: identifier.value))
        }
        for (trait, write) in changes.traits {
            guard let field = SearchField(trait: trait.name), let value = write.entry.value.string else {
                continue
            }
            terms[Place(profileID: trait.profileID, field: field), default: []]
                .formUnion(field.terms(of: value))
        }
        return index(terms)
    }

    /// Where terms are kept.
    struct Place: Hashable {
        let profileID: ProfileID
        let field: SearchField
    }

    /// Adds terms to what is there.
    func index(_ terms: [Place: Set<String>]) -> SQL? {
        let rows = terms.map { (place: $0.key, hashes: hashes(of: $0.value, in: $0.key.field)) }
            .filter { !$0.hashes.isEmpty }
            .sorted {
                ($0.place.profileID, $0.place.field.rawValue) < ($1.place.profileID, $1.place.field.rawValue)
            }
        guard !rows.isEmpty else { return nil }
        let arrays = rows.map { "{" + $0.hashes.map(String.init).joined(separator: ",") + "}" }
        return """
            INSERT INTO profiles.search_prefix AS s (shard, profile_id, field, prefixes)
            SELECT w.shard, w.profile_id, w.field, w.prefixes::bigint[]
            FROM unnest(\(rows.map { Shard($0.place.profileID) })::smallint[],
                        \(rows.map(\.place.profileID))::uuid[], \(rows.map(\.place.field.rawValue))::text[],
                        \(arrays)::text[]) AS w (shard, profile_id, field, prefixes)
            ON CONFLICT (shard, profile_id, field) DO UPDATE
            SET prefixes = ARRAY(
                SELECT u.hash FROM unnest(excluded.prefixes || s.prefixes) WITH ORDINALITY AS u (hash, place)
                GROUP BY u.hash ORDER BY min(u.place) LIMIT \(Self.mostHashes))
            WHERE NOT s.prefixes @> excluded.prefixes
            """
    }

    private func hashes(of terms: Set<String>, in field: SearchField) -> [Int64] {
        Set(terms.flatMap { SearchText.prefixes(of: $0) }).sorted()
            .prefix(Self.mostHashes)
            .map { key.searchHash(of: $0, in: field.rawValue) }
    }

    /// Canonical profiles that may match, in order of their ids.
    func candidates(
        _ query: SearchQuery, after position: ProfileID?, limit: Int, in session: some PostgresSession
    ) async throws -> [ProfileID] {
        let clauses = query.hashes(under: key)
        let conditions = clauses.map { hashes in
            SQL.joined(
                hashes.map { "bool_or(s.prefixes @> ARRAY[\($0)::bigint])" }, separator: " AND ")
        }
        let bound: SQL = if let position { "AND p.canonical_id > \(position)::uuid" } else { "" }
        let rows = try await session.query(
            """
            SELECT p.canonical_id
            FROM profiles.search_prefix s
            JOIN profiles.profile p ON p.shard = s.shard AND p.profile_id = s.profile_id
            WHERE s.prefixes && \(clauses.flatMap { $0 })::bigint[] \(bound)
            GROUP BY p.canonical_id
            HAVING \(SQL.joined(conditions.map { "(\($0))" }, separator: " OR "))
            ORDER BY p.canonical_id
            LIMIT \(limit)
            """)
        return try rows.map { try $0.get("canonical_id") }
    }

    /// Lets the members of a person be found by what they are known by, but for these, in the fields of these.
    func reindex(
        _ view: ProfileView, without identifiers: Set<Identifier>, in transaction: PostgresTransaction
    ) async throws {
        let fields = Set(identifiers.compactMap { SearchField(identifier: $0.kind) })
        guard !fields.isEmpty else { return }
        let members = view.person.memberIDs
        try await transaction.execute(
            """
            DELETE FROM profiles.search_prefix s
            USING unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, id)
            WHERE s.shard = w.shard AND s.profile_id = w.id AND s.field = ANY(\(fields.map(\.rawValue))::text[])
            """)
        var terms: [Place: Set<String>] = [:]
        for stored in view.identifiers where !identifiers.contains(stored.identifier) {
            guard let field = SearchField(identifier: stored.identifier.kind), fields.contains(field) else {
                continue
            }
            terms[Place(profileID: stored.profileID, field: field), default: []]
                .formUnion(field.terms(of: stored.identifier.value))
        }
        for (name, trait) in view.traits {
            guard let field = SearchField(trait: name), fields.contains(field),
                let value = trait.entry.value.string
            else { continue }
            terms[Place(profileID: trait.profileID, field: field), default: []]
                .formUnion(field.terms(of: value))
        }
        if let statement = index(terms) { try await transaction.execute(statement) }
    }

    /// Nobody is found by what the profiles were called.
    func delete(_ memberIDs: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            DELETE FROM profiles.search_prefix s
            USING unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            WHERE s.shard = w.shard AND s.profile_id = w.id
            """)
    }
}
