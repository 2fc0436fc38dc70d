package import Models
package import Postgres
import Sealing

/// The journey stage that a profile is in.
package struct StoredStage: Hashable, Sendable {
    package var profileID: ProfileID
    package var stage: String
    /// The version of the stages' definition.
    package var version: Int
    package var enteredAt: Instant
    /// Known to segmentation alone, under whose keys it is sealed; `null` to the others.
    package var evidence: JSON

    /// Where the evidence is sealed, under a key of segmentation's.
    package static func place(of id: ProfileID) -> String { "profiles.stage.evidence \(id)" }
}

extension ProfileStore {
    /// The stage that a person is in; nil for none.
    package func stage(of person: Person, in session: some PostgresSession) async throws -> StoredStage? {
        let row = try await session.query(
            """
            SELECT s.profile_id, s.stage, s.version, s.entered_at, s.evidence
            FROM unnest(\(person.memberIDs.map { Shard($0) })::smallint[], \(person.memberIDs)::uuid[])
                 AS w (shard, id)
            JOIN profiles.stage s ON s.shard = w.shard AND s.profile_id = w.id
            -- One that was merged a moment ago may still have its own.
            ORDER BY s.profile_id <> \(person.profileID), s.profile_id LIMIT 1
            """
        ).first
        guard let row else { return nil }
        let id: ProfileID = try row.get("profile_id")
        let evidence =
            vault.days.service == .segmentation
            ? try await vault.days.open(try row.get("evidence", as: JSON.self), at: StoredStage.place(of: id))
            : .null
        return StoredStage(
            profileID: id, stage: try row.get("stage"), version: try row.get("version"),
            enteredAt: try row.get("entered_at"), evidence: evidence)
    }
}
