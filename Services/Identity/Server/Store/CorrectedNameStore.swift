import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// The SQL of the identifiers that corrections took from people.
struct CorrectedNameStore {
    let key: IdentifierKey

    func keep(
        _ identifiers: [Identifier], takenFrom id: ProfileID, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !identifiers.isEmpty else { return }
        let places = identifiers.map { key.place(of: $0) }.sorted()
        try await transaction.execute(
            """
            INSERT INTO identity.corrected_identifier AS c (shard, type, value_hash, profile_id, corrected_at)
            SELECT w.shard, w.type, w.value_hash, \(id)::uuid, \(now)::timestamptz
            FROM unnest(\(binary: places.map(\.shard)), \(binary: places.map(\.kind.rawValue)),
                        \(binary: places.map(\.hash))) AS w (shard, type, value_hash)
            ON CONFLICT (shard, type, value_hash, profile_id)
                DO UPDATE SET corrected_at = greatest(c.corrected_at, excluded.corrected_at)
            """)
    }

    /// What was taken of the observations' identifiers. To be asked with the people locked that they lead to: whoever is
    /// being corrected has been then, or is not yet.
    func find(
        _ observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> CorrectedNames {
        let latest = try await transaction.query(
            "SELECT max(corrected_at) AS at FROM identity.corrected_identifier"
        ).first?.get("at", as: Instant?.self)
        guard let latest else { return CorrectedNames() }
        // Alone it can be nobody's whom the rest means.
        let asked = Set(
            observations.filter { $0.at <= latest && $0.allIdentifiers.count > 1 }.flatMap(\.allIdentifiers)
        ).map { (identifier: $0, place: key.place(of: $0)) }
        guard !asked.isEmpty else { return CorrectedNames() }
        let rows = try await transaction.query(
            """
            SELECT w.n, p.canonical_id, c.corrected_at
            FROM unnest(\(binary: asked.map(\.place.shard)), \(binary: asked.map(\.place.kind.rawValue)),
                        \(binary: asked.map(\.place.hash))) WITH ORDINALITY AS w (shard, type, value_hash, n)
            JOIN identity.corrected_identifier c USING (shard, type, value_hash)
            JOIN profiles.profile p ON p.profile_id = c.profile_id
            """)
        var taken: [Identifier: [ProfileID: Instant]] = [:]
        for row in rows {
            let identifier = asked[try row.get("n", as: Int.self) - 1].identifier
            let (id, at): (ProfileID, Instant) = (try row.get("canonical_id"), try row.get("corrected_at"))
            taken[identifier, default: [:]][id] = max(at, taken[identifier]?[id] ?? at)
        }
        return CorrectedNames(taken)
    }

    func erase(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "DELETE FROM identity.corrected_identifier WHERE profile_id = ANY(\(ids)::uuid[])")
    }
}
