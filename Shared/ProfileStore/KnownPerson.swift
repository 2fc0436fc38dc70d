import FoundationEssentials
package import Models
package import Postgres
import Sealing

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
                   NULL::uuid AS source_id, NULL AS history, NULL::bytea AS value_hash, NULL AS kek_id,
                   NULL::bytea AS wrapped, NULL::boolean AS is_settled
            FROM member
            UNION ALL
            SELECT 'identifier', i.profile_id, NULL, i.type, i.value, i.first_seen, i.last_seen, NULL, NULL, NULL,
                   NULL, i.value_hash, NULL, NULL, NULL
            FROM member m JOIN profiles.identifier i ON i.profile_id = m.profile_id
            UNION ALL
            SELECT 'trait', t.profile_id, NULL, t.name, t.value::text, t.occurred_at, NULL, NULL, t.message_id,
                   t.source_id, t.history::text, NULL, NULL, NULL, NULL
            FROM member m JOIN profiles.trait t ON t.shard = m.shard AND t.profile_id = m.profile_id
            UNION ALL
            SELECT 'key', k.profile_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                   NULL, NULL, k.kek_id, k.wrapped, k.created_at < now()
            FROM member m JOIN profiles.data_key k ON k.shard = m.shard AND k.profile_id = m.profile_id
            """)
        return try known(rows)
    }

    private func known(_ rows: [PostgresRow]) throws -> KnownPerson? {
        let parts = Dictionary(
            grouping: try rows.map { (part: try $0.get("part", as: String.self), row: $0) }, by: \.part
        ).mapValues { $0.map(\.row) }
        var person: Person?
        for row in parts["profile", default: []] { person = try Self.merged(person, with: row) }
        guard var person, person.erasedAt == nil else { return nil }
        person.memberIDs.sort()
        let keyring = try vault.profiles.reading(parts["key", default: []])
        return KnownPerson(
            person: person,
            identifiers: try parts["identifier", default: []].compactMap { try Self.identifier($0, keyring) },
            traits: try parts["trait", default: []].compactMap {
                try StoredTrait($0, at: "first_at", keyring)
            })
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

    private static func identifier(
        _ row: PostgresRow, _ keyring: ProfileKeyring
    ) throws -> StoredIdentifier? {
        let id: ProfileID = try row.get("profile_id")
        let name: String = try row.get("name")
        let value = try keyring.open(
            try row.get("value", as: String.self), of: id,
            at: StoredIdentifier.place(of: name, hash: try row.get("value_hash"), of: id))
        guard let value, let kind = Identifier.Kind(rawValue: name) else { return nil }
        return StoredIdentifier(
            identifier: Identifier(kind, normalised: value), profileID: id,
            firstSeen: try row.get("first_at"),
            lastSeen: max(try row.get("first_at"), try row.get("last_at")))
    }
}
