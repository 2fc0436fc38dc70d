import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// The SQL of the identifiers of people who were erased.
struct TombstoneStore {
    let key: IdentifierKey

    /// What is known of the observations' identifiers. To be asked with the people locked that they lead to: whoever is
    /// being erased has been then, or is not yet.
    func find(
        _ observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> Tombstones {
        let latest = try await transaction.query(
            "SELECT max(erased_at) AS at FROM profiles.erased_identifier"
        ).first?.get("at", as: Instant?.self)
        guard let latest else { return Tombstones() }
        let asked = Set(observations.filter { $0.at <= latest }.flatMap(\.allIdentifiers))
            .map { (identifier: $0, place: key.place(of: $0)) }
        guard !asked.isEmpty else { return Tombstones() }
        let rows = try await transaction.query(
            """
            SELECT w.n, e.erased_at
            FROM unnest(\(binary: asked.map(\.place.shard)), \(binary: asked.map(\.place.kind.rawValue)),
                        \(binary: asked.map(\.place.hash))) WITH ORDINALITY AS w (shard, type, value_hash, n)
            JOIN profiles.erased_identifier e USING (shard, type, value_hash)
            """)
        var erased: [Identifier: Instant] = [:]
        for row in rows {
            erased[asked[try row.get("n", as: Int.self) - 1].identifier] = try row.get("erased_at")
        }
        return Tombstones(erased)
    }
}
