package import Models
package import Postgres

/// An identifier and the profile that it led to first.
package struct StoredIdentifier: Hashable, Sendable {
    package var identifier: Identifier
    package var profileID: ProfileID
    /// The earliest and latest time of an event that named it.
    package var firstSeen: Instant
    package var lastSeen: Instant
}

extension ProfileStore {
    /// The identifiers of the profiles, by kind, the most recently seen first.
    package func identifiers(
        of memberIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [StoredIdentifier] {
        let rows = try await session.query(
            """
            SELECT type, value, profile_id, first_seen, last_seen
            FROM profiles.identifier
            WHERE profile_id = ANY(\(memberIDs)::uuid[])
            ORDER BY type, last_seen DESC, value
            """)
        return try rows.compactMap { row in
            guard let kind = Identifier.Kind(rawValue: try row.get("type")) else { return nil }
            return StoredIdentifier(
                identifier: Identifier(kind, normalised: try row.get("value")),
                profileID: try row.get("profile_id"),
                firstSeen: try row.get("first_seen"), lastSeen: try row.get("last_seen"))
        }
    }

    /// Every name that something may be kept under which is about the profiles: their identifiers of all kinds, the
    /// telephone numbers among their traits, and their ids.
    package static func names(
        of profileIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [String] {
        let identifiers = try await session.query(
            "SELECT DISTINCT value FROM profiles.identifier WHERE profile_id = ANY(\(profileIDs)::uuid[])")
        let traits = try await session.query(
            """
            SELECT DISTINCT t.value
            FROM unnest(\(profileIDs.map { Shard($0) })::smallint[], \(profileIDs)::uuid[]) AS w (shard, id)
            JOIN profiles.trait t ON t.shard = w.shard AND t.profile_id = w.id
            WHERE t.name ILIKE '%phone%' OR t.name ILIKE '%mobile%'
            """)
        let phones = try traits.compactMap { row in
            try row.get("value", as: JSON.self).string.flatMap { PhoneNumber($0)?.digits }
        }
        return try identifiers.map { try $0.get("value") } + phones + profileIDs.map(\.description)
    }

    /// The e-mail address that a person was seen with last.
    package func email(of person: Person, in session: some PostgresSession) async throws -> String? {
        try await identifiers(of: person.memberIDs, in: session)
            .first { $0.identifier.kind == .email }?.identifier.value
    }
}
