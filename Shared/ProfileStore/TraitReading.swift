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

    /// Where the value is sealed, under the key of the profile.
    package static func place(of name: String, of id: ProfileID) -> String {
        "profiles.trait.value \(id) \(name)"
    }

    /// Where what was said of it before is sealed, under the key of the profile.
    package static func historyPlace(of name: String, of id: ProfileID) -> String {
        "profiles.trait.history \(id) \(name)"
    }

    /// The trait in a row of the table, whose `occurred_at` may go by another name; nil where the key of the profile was
    /// destroyed.
    init?(_ row: PostgresRow, at time: String, _ keyring: ProfileKeyring) throws {
        profileID = try row.get("profile_id")
        name = try row.get("name")
        let value = try keyring.open(
            try row.get("value", as: JSON.self), of: profileID, at: Self.place(of: name, of: profileID))
        guard let value else { return nil }
        var history: TraitHistory?
        if let kept = try row.get("history", as: JSON?.self),
            let opened = try keyring.open(
                kept, of: profileID, at: Self.historyPlace(of: name, of: profileID))
        {
            history = try TraitHistory(json: opened, at: "history")
        }
        entry = EffectiveTraits.Entry(
            value: value,
            stamp: EffectiveTraits.Stamp(at: try row.get(time), messageID: try row.get("message_id")),
            history: history)
        sourceID = try row.get("source_id")
    }
}

extension ProfileStore {
    /// Every trait of the profiles as each has it, the removed ones too, without those of whoever was erased; of the
    /// names alone where there are some.
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
        if rows.isEmpty { return [] }
        let keyring = try await vault.profiles.reading(memberIDs, in: session)
        return try rows.compactMap { try StoredTrait($0, at: "occurred_at", keyring) }
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
