package import Models
package import Postgres

/// A segment that a profile is in.
package struct StoredMembership: Hashable, Sendable {
    package var profileID: ProfileID
    package var segment: String
    /// The version of the segment's definition.
    package var version: Int
    package var enteredAt: Instant
    package var evidence: JSON
}

extension ProfileStore {
    /// The segments that a person is in, in order of their names.
    package func memberships(
        of person: Person, in session: some PostgresSession
    ) async throws -> [StoredMembership] {
        let rows = try await session.query(
            """
            SELECT m.profile_id, m.segment, m.version, m.entered_at, m.evidence
            FROM unnest(\(person.memberIDs.map { Shard($0) })::smallint[], \(person.memberIDs)::uuid[])
                 AS w (shard, id)
            JOIN profiles.membership m ON m.shard = w.shard AND m.profile_id = w.id
            ORDER BY m.segment, m.profile_id
            """)
        return try rows.map { row in
            StoredMembership(
                profileID: try row.get("profile_id"), segment: try row.get("segment"),
                version: try row.get("version"), enteredAt: try row.get("entered_at"),
                evidence: try row.get("evidence"))
        }
    }
}
