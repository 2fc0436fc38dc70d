package import Models
package import Postgres
import Sealing

/// A trait of one profile and where it comes from.
package struct StoredTrait: Hashable, Sendable {
    package var profileID: ProfileID
    package var name: String
    /// `null` for a trait that was removed.
    package var entry: EffectiveTraits.Entry
    package var sourceID: SourceID

    /// Where the value is sealed, under the key of the profile.
    package static func place(of name: String, of id: ProfileID) -> String {
        "profiles.trait.value \(id) \(name)"
    }
}

extension ProfileStore {
    /// Every trait of the profiles as each has it, the removed ones too, without those of whoever was erased.
    package func storedTraits(
        of memberIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [StoredTrait] {
        let rows = try await session.query(
            """
            SELECT t.profile_id, t.name, t.value, t.occurred_at, t.message_id, t.source_id
            FROM unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            JOIN profiles.trait t ON t.shard = w.shard AND t.profile_id = w.id
            """)
        if rows.isEmpty { return [] }
        let keyring = try await vault.profiles.reading(memberIDs, in: session)
        return try rows.compactMap { row in
            let id: ProfileID = try row.get("profile_id")
            let name: String = try row.get("name")
            let value = try keyring.open(
                try row.get("value", as: JSON.self), of: id, at: StoredTrait.place(of: name, of: id))
            guard let value else { return nil }
            return StoredTrait(
                profileID: id, name: name,
                entry: EffectiveTraits.Entry(
                    value: value,
                    stamp: EffectiveTraits.Stamp(
                        at: try row.get("occurred_at"), messageID: try row.get("message_id"))),
                sourceID: try row.get("source_id"))
        }
    }

    /// The traits that hold for a person.
    package func traits(
        of person: Person, in session: some PostgresSession
    ) async throws -> EffectiveTraits {
        var traits = EffectiveTraits()
        for stored in try await storedTraits(of: person.memberIDs, in: session) {
            traits.apply(stored.entry, to: stored.name)
        }
        return traits
    }
}
