package import Models
package import Postgres
import Sealing

/// A segment that a profile is in.
package struct StoredMembership: Hashable, Sendable {
    package var profileID: ProfileID
    package var segment: String
    /// The version of the segment's definition.
    package var version: Int
    package var enteredAt: Instant
    /// Known to segmentation alone, under whose keys it is sealed; `null` to the others.
    package var evidence: JSON

    /// Where the evidence is sealed, under a key of segmentation's.
    package static func place(of id: ProfileID, segment: String) -> String {
        "profiles.membership.evidence \(id) \(segment)"
    }
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
        var memberships: [StoredMembership] = []
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            let segment: String = try row.get("segment")
            let evidence =
                vault.days.service == .segmentation
                ? try await vault.days.open(
                    try row.get("evidence", as: JSON.self),
                    at: StoredMembership.place(of: id, segment: segment))
                : .null
            memberships.append(
                StoredMembership(
                    profileID: id, segment: segment, version: try row.get("version"),
                    enteredAt: try row.get("entered_at"), evidence: evidence))
        }
        return memberships
    }
}
