import Foundation
import Models
import Postgres
import Sealing
import SegmentationDomain

/// Evidence that is too large for a record of the stream: `kept_evidence`.
struct KeptEvidence {
    let profile: ProfileID
    let id: UUID
    let body: JSON

    /// Keeps what is too large, and puts what it is called in its place.
    init?(_ evidence: inout JSON, of profile: ProfileID, at now: Instant) {
        let id = UUIDv7.make(at: now)
        guard let short = Evidence.abridged(evidence, kept: Self.text(id)) else { return nil }
        (self.profile, self.id, body) = (profile, id, evidence)
        evidence = short
    }

    private static func text(_ id: UUID) -> String { id.uuidString.lowercased() }

    private static func place(of id: UUID, _ profile: ProfileID) -> String {
        "segmentation.kept_evidence.body \(profile) \(text(id))"
    }

    static func write(_ kept: [KeptEvidence], under key: DayKey) throws -> SQL {
        let bodies = try kept.map { try key.seal($0.body.compact, at: place(of: $0.id, $0.profile)) }
        return """
            INSERT INTO kept_evidence (shard, profile_id, evidence_id, body)
            SELECT * FROM unnest(\(kept.map { Shard($0.profile) })::smallint[], \(kept.map(\.profile))::uuid[],
                                 \(kept.map(\.id))::uuid[], \(bodies)::text[])
            """
    }

    static func read(
        _ id: UUID, of profile: ProfileID, vault: Vault, in session: any PostgresSession
    ) async throws -> JSON? {
        let row = try await session.query(
            """
            SELECT body FROM kept_evidence
            WHERE shard = \(Shard(profile)) AND profile_id = \(profile) AND evidence_id = \(id)
            """
        ).first
        guard let row else { return nil }
        return try await vault.days.openJSON(try row.get("body"), at: place(of: id, profile))
    }

    /// All of profiles, by their ids.
    static func all(
        of profiles: [ProfileID], vault: Vault, in session: any PostgresSession
    ) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT profile_id, evidence_id, body FROM kept_evidence
            WHERE (shard, profile_id) IN (SELECT * FROM unnest(\(profiles.map { Shard($0) })::smallint[],
                                                               \(profiles)::uuid[]))
            ORDER BY evidence_id
            """)
        var all: [JSON] = []
        for row in rows {
            let (profile, id): (ProfileID, UUID) = (try row.get("profile_id"), try row.get("evidence_id"))
            all.append([
                "profileId": .string(profile.description), "id": .string(text(id)),
                "evidence": try await vault.days.openJSON(
                    try row.get("body"), at: place(of: id, profile)),
            ])
        }
        return all
    }

    /// Evidence as it is, if what stands in its place was read.
    static func whole(
        _ evidence: JSON, of profile: ProfileID, vault: Vault, in session: any PostgresSession
    ) async throws -> JSON {
        guard let id = evidence["kept"]?.string.flatMap({ UUID(uuidString: $0) }) else { return evidence }
        return try await read(id, of: profile, vault: vault, in: session) ?? evidence
    }
}
