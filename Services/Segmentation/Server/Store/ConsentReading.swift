import Models
import Postgres
import SegmentationDomain

/// What stands about consent, as the consent service has it in the profile store.
enum ConsentReading {
    /// The decisions that stand under the profiles and those merged into them, as events. What the stream tells of is there
    /// as soon as it can be read.
    static func standing(
        of profiles: some Collection<ProfileID>, at now: Instant, in session: some PostgresSession
    ) async throws -> [ProfileID: [TrackingEvent]] {
        guard !profiles.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            WITH RECURSIVE member (root, id) AS (
                SELECT w.id, w.id FROM unnest(\(Array(profiles))::uuid[]) AS w (id)
                UNION
                SELECT m.root, e.merged_id
                FROM member m JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            )
            SELECT m.root, c.profile_id, c.purpose, c.state, c.at, c.ledger_entry::text AS entry
            FROM member m
            JOIN profiles.profile p ON p.profile_id = m.id
            JOIN profiles.consent_state c ON c.shard = p.shard AND c.profile_id = p.profile_id
            """)
        var decisions: [ProfileID: [TrackingEvent]] = [:]
        for row in rows {
            let state = ConsentChange.State(rawValue: try row.get("state"))
            let change = ConsentChange(
                profileID: try row.get("profile_id"), purpose: try row.get("purpose"),
                // Whatever is not known to be a grant must not be taken for one.
                state: state ?? .withdrawn, at: try row.get("at"), source: "",
                ledgerEntry: try row.get("entry"))
            decisions[try row.get("root"), default: []].append(TrackingEvent(change, recordedAt: now))
        }
        return decisions
    }

    /// Whom the profiles are now, without those that are erased or unknown; and which have to do with an undone merge.
    static func people(
        of profiles: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> (canonical: [ProfileID: ProfileID], parted: Set<ProfileID>) {
        let rows = try await transaction.query(
            """
            SELECT p.profile_id, p.canonical_id,
                   EXISTS (SELECT FROM profiles.merge e
                           WHERE e.undone_at IS NOT NULL AND e.survivor_id IN (p.profile_id, p.canonical_id))
                   OR EXISTS (SELECT FROM profiles.merge e
                              WHERE e.undone_at IS NOT NULL AND e.merged_id IN (p.profile_id, p.canonical_id))
                   AS parted
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(Array(profiles))::uuid[]) AS w (shard, id)
            JOIN profiles.profile p ON p.shard = w.shard AND p.profile_id = w.id AND p.erased_at IS NULL
            JOIN profiles.profile c ON c.profile_id = p.canonical_id AND c.erased_at IS NULL
            """)
        var canonical: [ProfileID: ProfileID] = [:]
        var parted: Set<ProfileID> = []
        for row in rows {
            let id: ProfileID = try row.get("profile_id")
            canonical[id] = try row.get("canonical_id")
            if try row.get("parted") { parted.insert(id) }
        }
        return (canonical, parted)
    }

    /// A statement that has a profile's consent looked at again once the consent service has followed an undone merge.
    static func recheck(_ profile: ProfileID, after merge: MergeID) -> SQL {
        """
        INSERT INTO consent_recheck (shard, profile_id, merge_id)
        VALUES (\(Shard(profile)), \(profile), \(merge)) ON CONFLICT DO NOTHING
        """
    }

    /// Whether there is anything that is to be looked at again.
    static func hasRechecks(in session: some PostgresSession) async throws -> Bool {
        try await !session.query("SELECT FROM consent_recheck LIMIT 1").isEmpty
    }

    /// Takes some profiles whose undone merges the consent service has followed.
    static func takeRechecks(
        in transaction: PostgresTransaction
    ) async throws -> [(profile: ProfileID, merge: MergeID)] {
        try await transaction.query(
            """
            WITH ready AS (
                SELECT r.shard, r.profile_id, r.merge_id FROM consent_recheck r
                JOIN profiles.consent_unmerge c USING (shard, profile_id, merge_id)
                ORDER BY r.shard, r.profile_id, r.merge_id LIMIT 200 FOR UPDATE OF r SKIP LOCKED
            )
            DELETE FROM consent_recheck d USING ready r
            WHERE d.shard = r.shard AND d.profile_id = r.profile_id AND d.merge_id = r.merge_id
            RETURNING d.profile_id, d.merge_id
            """
        ).map { (try $0.get("profile_id"), try $0.get("merge_id")) }
    }
}
