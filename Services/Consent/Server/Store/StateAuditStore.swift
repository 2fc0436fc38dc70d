import Models
import Postgres

/// The SQL of comparing the standing decisions with the ledger that they are the fold of.
enum StateAuditStore {
    /// A standing decision that is not what the ledger says, or one that is missing.
    struct Fault: Sendable {
        let profileID: ProfileID
        let purpose: String

        var json: JSON { ["profileId": .string(profileID.description), "purpose": .string(purpose)] }
    }

    /// More are not listed: one is enough to know.
    private static let limit = 100

    /// How many decisions stand, and those that can't have come about by what the ledger holds.
    ///
    /// What merges and their undoing have yet to move is left alone: each decision has to be that of an entry of the same
    /// person, and the last of those that came under its own profile; and of these there has to be one.
    static func check(
        _ shards: [Shard], in transaction: PostgresTransaction
    ) async throws -> (checked: Int, faults: [Fault]) {
        let count = try await transaction.query(
            "SELECT count(*) AS n FROM profiles.consent_state WHERE shard = ANY(\(shards)::smallint[])"
        ).first?.get("n", as: Int.self)
        let rows = try await transaction.query(
            """
            WITH moving AS (
                SELECT u.profile_id FROM profiles.unmerged_profile u
                LEFT JOIN profiles.consent_unmerge c USING (shard, profile_id, merge_id) WHERE c.merge_id IS NULL
            )
            SELECT s.profile_id, s.purpose FROM profiles.consent_state s
            LEFT JOIN ledger_entry e ON e.entry_id = s.ledger_entry
            LEFT JOIN ledger_subject j ON j.shard = e.shard AND j.entry_id = e.entry_id
            LEFT JOIN profiles.profile whose ON whose.shard = j.shard AND whose.profile_id = j.profile_id
            LEFT JOIN profiles.profile own ON own.shard = s.shard AND own.profile_id = s.profile_id
            WHERE s.shard = ANY(\(shards)::smallint[]) AND (
                e.entry_id IS NULL OR e.purpose <> s.purpose OR e.occurred_at <> s.at
                OR CASE e.action WHEN 'grant' THEN 'granted' ELSE 'withdrawn' END <> s.state
                OR whose.canonical_id <> own.canonical_id AND s.profile_id NOT IN (SELECT profile_id FROM moving)
                OR EXISTS (
                    SELECT FROM ledger_subject k JOIN ledger_entry o ON o.shard = k.shard AND o.entry_id = k.entry_id
                    WHERE k.shard = s.shard AND k.profile_id = s.profile_id AND o.purpose = s.purpose
                        AND (o.occurred_at, o.action <> 'grant', o.entry_id)
                            > (s.at, s.state = 'withdrawn', s.ledger_entry)))
            UNION
            SELECT k.profile_id, o.purpose FROM ledger_subject k
            JOIN ledger_entry o ON o.shard = k.shard AND o.entry_id = k.entry_id
            JOIN profiles.profile p ON p.shard = k.shard AND p.profile_id = k.profile_id
            WHERE k.shard = ANY(\(shards)::smallint[]) AND p.canonical_id = p.profile_id AND p.erased_at IS NULL
                AND NOT EXISTS (
                    SELECT FROM profiles.consent_state s
                    WHERE s.shard = k.shard AND s.profile_id = k.profile_id AND s.purpose = o.purpose)
                AND k.profile_id NOT IN (SELECT profile_id FROM moving)
            ORDER BY profile_id, purpose LIMIT \(Int64(limit))
            """)
        return (
            count ?? 0,
            try rows.map { Fault(profileID: try $0.get("profile_id"), purpose: try $0.get("purpose")) }
        )
    }
}
