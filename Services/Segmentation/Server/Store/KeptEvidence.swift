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

    /// How many of one profile are kept: the latest.
    static let most = 100
    /// How much these may come to, in bytes as they are stored; the latest is kept however large it is.
    static let mostBytes: Int64 = 64 << 20
    /// How many are read at a time.
    private static let page = 10

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

    /// Statements that write evidence, and let go of what is more than is kept of a profile: of that its bare form is left.
    static func write(_ kept: [KeptEvidence], under key: DayKey) throws -> [SQL] {
        let bodies = try kept.map { try key.seal($0.body.compact, at: place(of: $0.id, $0.profile)) }
        let profiles = Set(kept.map(\.profile)).sorted()
        let insert: SQL = """
            INSERT INTO kept_evidence (shard, profile_id, evidence_id, body)
            SELECT * FROM unnest(\(kept.map { Shard($0.profile) })::smallint[], \(kept.map(\.profile))::uuid[],
                                 \(kept.map(\.id))::uuid[], \(bodies)::text[])
            """
        let trim: SQL = """
            DELETE FROM kept_evidence k
            USING (SELECT e.shard, e.profile_id, e.evidence_id, row_number() OVER latest AS place,
                       sum(pg_column_size(e.body)) OVER latest AS bytes
                   FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
                   JOIN kept_evidence e ON e.shard = w.shard AND e.profile_id = w.id
                   WINDOW latest AS (PARTITION BY e.shard, e.profile_id ORDER BY e.evidence_id DESC)) AS o
            WHERE k.shard = o.shard AND k.profile_id = o.profile_id AND k.evidence_id = o.evidence_id
                AND o.place > 1 AND (o.place > \(Int64(most)) OR o.bytes > \(mostBytes))
            """
        return [insert, trim]
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

    /// All of profiles, in the order in which it was kept; some rows at a time are asked for.
    static func all(
        of profiles: [ProfileID], vault: Vault, in session: any PostgresSession
    ) async throws -> [JSON] {
        var all: [JSON] = []
        var last: (profile: ProfileID, id: UUID)?
        while true {
            let isFirst = last == nil
            let rows = try await session.query(
                """
                SELECT profile_id, evidence_id, body FROM kept_evidence
                WHERE (shard, profile_id) IN (SELECT * FROM unnest(\(profiles.map { Shard($0) })::smallint[],
                                                                   \(profiles)::uuid[]))
                    AND (\(isFirst)::boolean OR (evidence_id, profile_id) > (\(last?.id)::uuid, \(last?.profile)::uuid))
                ORDER BY evidence_id, profile_id LIMIT \(Int64(page))
                """)
            for row in rows {
                let (profile, id): (ProfileID, UUID) = (
                    try row.get("profile_id"), try row.get("evidence_id")
                )
                last = (profile, id)
                all.append([
                    "profileId": .string(profile.description), "id": .string(text(id)),
                    "evidence": try await vault.days.openJSON(
                        try row.get("body"), at: place(of: id, profile)),
                ])
            }
            guard rows.count == page else { return all }
        }
    }

    /// Evidence as it is, if what stands in its place was read.
    static func whole(
        _ evidence: JSON, of profile: ProfileID, vault: Vault, in session: any PostgresSession
    ) async throws -> JSON {
        guard let id = evidence["kept"]?.string.flatMap({ UUID(uuidString: $0) }) else { return evidence }
        return try await read(id, of: profile, vault: vault, in: session) ?? evidence
    }
}
