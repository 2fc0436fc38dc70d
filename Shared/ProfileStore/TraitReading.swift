package import Models
package import Postgres

/// A trait of one profile and where it comes from.
package struct StoredTrait: Hashable, Sendable {
    package var profileID: ProfileID
    package var name: String
    /// `null` for a trait that was removed.
    package var entry: EffectiveTraits.Entry
    package var sourceID: SourceID
}

extension ProfileStore {
    /// Every trait of the profiles as each has it, the removed ones too.
    package func storedTraits(
        of memberIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [StoredTrait] {
        let rows = try await session.query(
            """
            SELECT t.profile_id, t.name, t.value, t.occurred_at, t.message_id, t.source_id
            FROM unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            JOIN profiles.trait t ON t.shard = w.shard AND t.profile_id = w.id
            """)
        return try rows.map { row in
            StoredTrait(
                profileID: try row.get("profile_id"), name: try row.get("name"),
                entry: EffectiveTraits.Entry(
                    value: try row.get("value"),
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
