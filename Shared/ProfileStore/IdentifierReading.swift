package import FoundationEssentials
package import Models
package import Postgres
import Sealing

/// An identifier and the profile that it led to first.
package struct StoredIdentifier: Hashable, Sendable {
    package var identifier: Identifier
    package var profileID: ProfileID
    /// The earliest and latest time of an event that named it; the latest of a `userId` or an `anonymousId` is known to
    /// the hour.
    package var firstSeen: Instant
    package var lastSeen: Instant
}

extension StoredIdentifier {
    /// Where the value is sealed, under the key of the profile.
    package static func place(of kind: String, hash: Data, of id: ProfileID) -> String {
        "profiles.identifier.value \(id) \(kind) \(hash.base64EncodedString())"
    }
}

extension ProfileStore {
    /// The identifiers of the profiles, by kind, the most recently seen first; without those of whoever was erased.
    package func identifiers(
        of memberIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [StoredIdentifier] {
        let rows = try await session.query(
            """
            SELECT type, value_hash, value, profile_id, first_seen, last_seen
            FROM profiles.identifier
            WHERE profile_id = ANY(\(memberIDs)::uuid[])
            """)
        let values = try await values(in: rows, of: memberIDs, in: session)
        return try zip(rows, values).compactMap { row, value in
            guard let value, let kind = Identifier.Kind(rawValue: try row.get("type")) else { return nil }
            return StoredIdentifier(
                identifier: Identifier(kind, normalised: value),
                profileID: try row.get("profile_id"),
                firstSeen: try row.get("first_seen"),
                // The hour may have begun before.
                lastSeen: max(try row.get("first_seen"), try row.get("last_seen")))
        }
        .sorted(by: Self.precedes)
    }

    /// Every name that something may be kept under which is about the profiles: their identifiers of all kinds (see
    /// `Identifier.name`), the telephone numbers among their traits, and their ids.
    package func names(
        of profileIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> [String] {
        let rows = try await session.query(
            """
            SELECT type, value_hash, value, profile_id FROM profiles.identifier
            WHERE profile_id = ANY(\(profileIDs)::uuid[])
            """)
        let values = try await values(in: rows, of: profileIDs, in: session)
        let identifiers = Set(
            try zip(rows, values).compactMap { row, value in
                guard let value else { return nil }
                guard let kind = Identifier.Kind(rawValue: try row.get("type")) else { return value }
                return Identifier(kind, normalised: value).name
            } as [String])
        let traits = try await session.query(
            """
            SELECT t.profile_id, t.name, t.value
            FROM unnest(\(profileIDs.map { Shard($0) })::smallint[], \(profileIDs)::uuid[]) AS w (shard, id)
            JOIN profiles.trait t ON t.shard = w.shard AND t.profile_id = w.id
            WHERE t.name ILIKE '%phone%' OR t.name ILIKE '%mobile%'
            """)
        let keyring = try await vault.profiles.reading(profileIDs, in: session)
        let phones = Set(
            try traits.compactMap { row in
                let id: ProfileID = try row.get("profile_id")
                return try keyring.open(
                    try row.get("value", as: JSON.self), of: id,
                    at: StoredTrait.place(of: try row.get("name"), of: id)
                )?.string.flatMap { PhoneNumber($0)?.digits }
            })
        return identifiers.sorted() + phones.sorted() + profileIDs.map(\.description)
    }

    /// The devices among their names that others may have used as well: such an event is its own person's, whosever the
    /// device is.
    package func sharedNames(
        of profileIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<String> {
        let rows = try await session.query(
            """
            SELECT type, value_hash, value, profile_id FROM profiles.identifier
            WHERE profile_id = ANY(\(profileIDs)::uuid[]) AND type = \(Identifier.Kind.anonymousID.rawValue)
                AND (shared_count > 0 OR EXISTS (
                    SELECT FROM profiles.profile p WHERE p.profile_id = ANY(\(profileIDs)::uuid[]) AND p.is_separated))
            """)
        return Set(try await values(in: rows, of: profileIDs, in: session).compactMap { $0 })
    }

    /// Whether some of a person's were parted from others: what they did before is told apart by nothing else then.
    package func areSeparated(
        _ profileIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> Bool {
        try await !session.query(
            "SELECT FROM profiles.profile WHERE profile_id = ANY(\(profileIDs)::uuid[]) AND is_separated LIMIT 1"
        ).isEmpty
    }

    /// What tells the events of the profiles apart from all others (`TrackingEvent.messageName`).
    package func messageNames(
        of profileIDs: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<String> {
        let rows = try await session.query(
            """
            SELECT source_id, message_id FROM profiles.timeline
            WHERE profile_id = ANY(\(profileIDs)::uuid[]) AND source_id IS NOT NULL AND message_id IS NOT NULL
            """)
        return Set(
            try rows.map {
                TrackingEvent.messageName(try $0.get("source_id"), try $0.get("message_id", as: String.self))
            })
    }

    /// What the identifiers in rows of the table are; nil where the key of the profile was destroyed.
    private func values(
        in rows: [PostgresRow], of ids: [ProfileID], in session: some PostgresSession
    ) async throws -> [String?] {
        if rows.isEmpty { return [] }
        let keyring = try await vault.profiles.reading(ids, in: session)
        return try rows.map { row in
            let id: ProfileID = try row.get("profile_id")
            return try keyring.open(
                try row.get("value", as: String.self), of: id,
                at: StoredIdentifier.place(of: try row.get("type"), hash: try row.get("value_hash"), of: id))
        }
    }

    private static func precedes(_ left: StoredIdentifier, _ right: StoredIdentifier) -> Bool {
        if left.identifier.kind != right.identifier.kind {
            return left.identifier.kind.rawValue.precedesInUTF8(right.identifier.kind.rawValue)
        }
        if left.lastSeen != right.lastSeen { return left.lastSeen > right.lastSeen }
        return left.identifier.value.precedesInUTF8(right.identifier.value)
    }

    /// The e-mail address that a person was seen with last.
    package func email(of person: Person, in session: some PostgresSession) async throws -> String? {
        try await identifiers(of: person.memberIDs, in: session)
            .first { $0.identifier.kind == .email }?.identifier.value
    }
}
