import FoundationEssentials
package import Models
package import Postgres

/// A person with everything that identity knows of them.
package struct KnownPerson: Sendable {
    package var person: Person
    /// Those of all profiles of the person, in no order.
    package var identifiers: [StoredIdentifier]
    package var traits: [StoredTrait]
}

// In one statement, and so from one snapshot: what support and CRM systems ask for again and again.
extension ProfileStore {
    /// The person that an identifier leads to; nil when nobody is known by it, or everything known was erased.
    package func known(
        by identifier: Identifier, in session: some PostgresSession
    ) async throws -> KnownPerson? {
        let place = key.place(of: identifier)
        return try await known(
            startingAt: """
                SELECT o.canonical_id
                FROM profiles.identifier i
                JOIN profiles.profile o ON o.profile_id = i.profile_id
                WHERE i.shard = \(place.shard) AND i.type = \(place.kind.rawValue) AND i.value_hash = \(place.hash)
                """, in: session)
    }

    /// The person that a profile belongs to.
    package func known(
        of id: ProfileID, in session: some PostgresSession
    ) async throws -> KnownPerson? {
        try await known(
            startingAt: """
                SELECT canonical_id FROM profiles.profile WHERE shard = \(Shard(id)) AND profile_id = \(id)
                """, in: session)
    }

    private func known(startingAt root: SQL, in session: some PostgresSession) async throws -> KnownPerson? {
        let rows = try await session.query(
            """
            WITH member AS MATERIALIZED (
                SELECT m.shard, m.profile_id, m.canonical_id, m.created_at, m.updated_at, m.erased_at
                FROM profiles.profile m WHERE m.canonical_id = (\(root))
            )
            SELECT 'profile' AS part, profile_id, canonical_id, NULL AS name, NULL AS value,
                   created_at AS first_at, updated_at AS last_at, erased_at, NULL AS message_id,
                   NULL::uuid AS source_id, NULL AS history
            FROM member
            UNION ALL
            SELECT 'identifier', i.profile_id, NULL, i.type, i.value, i.first_seen, i.last_seen, NULL, NULL, NULL,
                   NULL
            FROM member m JOIN profiles.identifier i ON i.profile_id = m.profile_id
            UNION ALL
            SELECT 'trait', t.profile_id, NULL, t.name, t.value::text, t.occurred_at, NULL, NULL, t.message_id,
                   t.source_id, t.history::text
            FROM member m JOIN profiles.trait t ON t.shard = m.shard AND t.profile_id = m.profile_id
            """)
        return try Self.known(rows)
    }

    private static func known(_ rows: [PostgresRow]) throws -> KnownPerson? {
        var person: Person?
        var identifiers: [StoredIdentifier] = []
        var traits: [StoredTrait] = []
        for row in rows {
            switch try row.get("part", as: String.self) {
            case "profile": person = try merged(person, with: row)
            case "identifier": try identifier(row).map { identifiers.append($0) }
            default: traits.append(try trait(row))
            }
        }
        guard var person, person.erasedAt == nil else { return nil }
        person.memberIDs.sort()
        return KnownPerson(person: person, identifiers: identifiers, traits: traits)
    }

    private static func merged(_ person: Person?, with row: PostgresRow) throws -> Person {
        let member: ProfileID = try row.get("profile_id")
        let canonical: ProfileID = try row.get("canonical_id")
        let created: Instant = try row.get("first_at")
        let updated: Instant = try row.get("last_at")
        var person =
            person
            ?? Person(
                profileID: canonical, memberIDs: [], createdAt: created, updatedAt: updated, erasedAt: nil)
        person.memberIDs.append(member)
        person.createdAt = min(person.createdAt, created)
        person.updatedAt = max(person.updatedAt, updated)
        if member == canonical { person.erasedAt = try row.get("erased_at") }
        return person
    }

    private static func identifier(_ row: PostgresRow) throws -> StoredIdentifier? {
        guard let kind = Identifier.Kind(rawValue: try row.get("name")),
            let identifier = Identifier(kind, try row.get("value", as: String.self))
        else { return nil }
        return StoredIdentifier(
            identifier: identifier, profileID: try row.get("profile_id"), firstSeen: try row.get("first_at"),
            lastSeen: try row.get("last_at"))
    }

    private static func trait(_ row: PostgresRow) throws -> StoredTrait {
        StoredTrait(
            profileID: try row.get("profile_id"), name: try row.get("name"),
            entry: EffectiveTraits.Entry(
                value: try row.get("value"),
                stamp: EffectiveTraits.Stamp(
                    at: try row.get("first_at"), messageID: try row.get("message_id")),
                history: try row.get("history", as: JSON?.self).map { json throws(DecodingProblem) in
                    try TraitHistory(json: json, at: "history")
                }),
            sourceID: try row.get("source_id"))
    }
}
