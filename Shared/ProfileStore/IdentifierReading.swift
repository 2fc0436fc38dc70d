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
            let value: String = try row.get("value")
            guard let kind = Identifier.Kind(rawValue: try row.get("type")),
                let identifier = Identifier(kind, value)
            else { return nil }
            return StoredIdentifier(
                identifier: identifier, profileID: try row.get("profile_id"),
                firstSeen: try row.get("first_seen"), lastSeen: try row.get("last_seen"))
        }
    }

    /// The e-mail address that a person was seen with last.
    package func email(of person: Person, in session: some PostgresSession) async throws -> String? {
        try await identifiers(of: person.memberIDs, in: session)
            .first { $0.identifier.kind == .email }?.identifier.value
    }
}
