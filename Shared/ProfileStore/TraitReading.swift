package import Models
package import Postgres

/// A trait of one profile and where it comes from.
package struct StoredTrait: Hashable, Sendable {
    package var profileID: ProfileID
    package var name: String
    /// `null` for a trait that was removed.
    package var entry: EffectiveTraits.Entry
    package var sourceID: SourceID

    /// Keeps the source with the value, for a rule that the trait had none of when it was written.
    package mutating func rememberSource() {
        guard entry.history == nil else { return }
        entry = EffectiveTraits.Entry(
            value: entry.value, stamp: entry.stamp,
            history: TraitHistory(entry.value, at: entry.stamp, from: sourceID, by: .latest))
    }

    /// Takes in the same trait as another profile of the person has it.
    package mutating func merge(_ other: StoredTrait) {
        let stamp = entry.stamp
        guard entry.merge(other.entry) else { return }
        if let source = entry.history?.effective?.sourceID {
            sourceID = source
        } else if entry.stamp != stamp {
            sourceID = other.sourceID
            profileID = other.profileID
        }
    }
}

extension ProfileStore {
    /// Every trait of the profiles as each has it, the removed ones too; of the names alone where there are some.
    package func storedTraits(
        of memberIDs: [ProfileID], named names: [String]? = nil, in session: some PostgresSession
    ) async throws -> [StoredTrait] {
        let only: SQL = if let names { "WHERE t.name = ANY(\(names)::text[])" } else { "" }
        let rows = try await session.query(
            """
            SELECT t.profile_id, t.name, t.value, t.occurred_at, t.message_id, t.source_id, t.history
            FROM unnest(\(memberIDs.map { Shard($0) })::smallint[], \(memberIDs)::uuid[]) AS w (shard, id)
            JOIN profiles.trait t ON t.shard = w.shard AND t.profile_id = w.id
            \(only)
            """)
        return try rows.map { row in
            StoredTrait(
                profileID: try row.get("profile_id"), name: try row.get("name"),
                entry: EffectiveTraits.Entry(
                    value: try row.get("value"),
                    stamp: EffectiveTraits.Stamp(
                        at: try row.get("occurred_at"), messageID: try row.get("message_id")),
                    history: try row.get("history", as: JSON?.self).map { json throws(DecodingProblem) in
                        try TraitHistory(json: json, at: "history")
                    }),
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
