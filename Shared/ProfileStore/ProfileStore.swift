package import Models
package import Postgres
package import Sealing

/// Reads the customer profile store, for every service. Each table has one writing service, whose own Store
/// writes it.
package struct ProfileStore: Sendable {
    package let key: IdentifierKey
    /// What values are sealed with.
    package let vault: Vault

    package init(key: IdentifierKey, vault: Vault) {
        self.key = key
        self.vault = vault
    }

    /// The profile that a profile has been merged into, or itself; nil for an id that names no profile.
    package func canonicalID(of id: ProfileID, in session: some PostgresSession) async throws -> ProfileID? {
        let rows = try await session.query(
            """
            SELECT canonical_id FROM profiles.profile WHERE shard = \(Shard(id)) AND profile_id = \(id)
            """)
        return try rows.first?.get("canonical_id")
    }

    /// The profile that an identifier leads to, after all merges; nil when nobody is known by it.
    package func canonicalID(
        of identifier: Identifier, in session: some PostgresSession
    ) async throws -> ProfileID? {
        guard let owner = try await owner(of: identifier, in: session) else { return nil }
        return try await canonicalID(of: owner, in: session)
    }

    /// The profiles that identifiers lead to, after all merges; those that nobody is known by are left out.
    package func canonicalIDs(
        of identifiers: Set<Identifier>, in session: some PostgresSession
    ) async throws -> [Identifier: ProfileID] {
        let owners = try await owners(of: identifiers, in: session)
        let people = try await people(Array(Set(owners.values)), in: session)
        return owners.compactMapValues { people[$0]?.profileID }
    }

    /// The profiles that identifiers led to first, before all merges.
    package func owners(
        of identifiers: Set<Identifier>, in session: some PostgresSession
    ) async throws -> [Identifier: ProfileID] {
        guard !identifiers.isEmpty else { return [:] }
        let asked = identifiers.map { (identifier: $0, place: key.place(of: $0)) }
        let rows = try await session.query(
            """
            SELECT w.number, i.profile_id
            FROM unnest(\(asked.map(\.place.shard))::smallint[], \(asked.map(\.place.kind.rawValue))::text[],
                        \(asked.map(\.place.hash))::bytea[]) WITH ORDINALITY AS w (shard, type, value_hash, number)
            JOIN profiles.identifier i USING (shard, type, value_hash)
            """)
        var owners: [Identifier: ProfileID] = [:]
        for row in rows {
            owners[asked[try row.get("number", as: Int.self) - 1].identifier] = try row.get("profile_id")
        }
        return owners
    }

    /// The profile that an identifier led to first, before all merges; nil when nobody is known by it.
    package func owner(of identifier: Identifier, in session: some PostgresSession) async throws -> ProfileID?
    {
        let place = key.place(of: identifier)
        let rows = try await session.query(
            """
            SELECT profile_id FROM profiles.identifier
            WHERE shard = \(place.shard) AND type = \(place.kind.rawValue) AND value_hash = \(place.hash)
            """)
        return try rows.first?.get("profile_id")
    }

    /// The person that a profile belongs to; nil for an id that names no profile.
    package func person(_ id: ProfileID, in session: some PostgresSession) async throws -> Person? {
        try await people([id], in: session)[id]
    }

    /// The people that profiles belong to, by the ids that were asked for.
    package func people(
        _ ids: [ProfileID], in session: some PostgresSession
    ) async throws -> [ProfileID: Person] {
        guard !ids.isEmpty else { return [:] }
        return try Self.people(await session.query(Self.people(ids)))
    }

    /// The statement that reads the people that profiles belong to, for a caller that sends it together with others.
    package static func people(_ ids: [ProfileID]) -> SQL {
        """
        SELECT w.id AS asked, c.profile_id, c.canonical_id, c.created_at, c.updated_at, c.erased_at
        FROM unnest(\(binary: ids.map { Shard($0) }), \(binary: ids)) AS w (shard, id)
        JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id
        JOIN profiles.profile c ON c.canonical_id = p.canonical_id
        ORDER BY c.profile_id
        """
    }

    /// The people in the rows of that statement, by the ids that were asked for.
    package static func people(_ rows: [PostgresRow]) throws -> [ProfileID: Person] {
        var people: [ProfileID: Person] = [:]
        for row in rows {
            let asked: ProfileID = try row.get("asked")
            let member: ProfileID = try row.get("profile_id")
            let canonical: ProfileID = try row.get("canonical_id")
            let created: Instant = try row.get("created_at")
            let updated: Instant = try row.get("updated_at")
            var person =
                people[asked]
                ?? Person(
                    profileID: canonical, memberIDs: [], createdAt: created, updatedAt: updated, erasedAt: nil
                )
            person.memberIDs.append(member)
            person.createdAt = min(person.createdAt, created)
            person.updatedAt = max(person.updatedAt, updated)
            if member == canonical { person.erasedAt = try row.get("erased_at") }
            people[asked] = person
        }
        return people
    }
}

/// One person: a canonical profile and all that were merged into it.
package struct Person: Hashable, Sendable {
    /// The canonical profile.
    package var profileID: ProfileID
    /// Every profile of the person, the canonical one too, in order.
    package var memberIDs: [ProfileID]
    /// When the oldest of the profiles came to be.
    package var createdAt: Instant
    /// When identifiers, traits or merges last changed.
    package var updatedAt: Instant
    /// When everything known of the person was erased.
    package var erasedAt: Instant?

    package init(
        profileID: ProfileID, memberIDs: [ProfileID], createdAt: Instant, updatedAt: Instant,
        erasedAt: Instant?
    ) {
        self.profileID = profileID
        self.memberIDs = memberIDs
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.erasedAt = erasedAt
    }
}
