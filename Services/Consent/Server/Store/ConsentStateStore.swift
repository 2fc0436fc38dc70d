import ConsentDomain
import Models
import Postgres

/// One row of `profiles.consent_state`.
struct StandingConsent: Sendable, Hashable {
    let profileID: ProfileID
    let purpose: String
    let decision: ConsentDecision
}

/// The SQL of the standing decisions in the profile store.
enum ConsentStateStore {
    /// The statement that lets the decisions take effect where they prevail over what stands, and returns those that did.
    ///
    /// The order is that of `ConsentDecision.prevails`, so that writers need no lock to agree.
    static func raise(_ decisions: [StandingConsent]) -> SQL {
        write(
            decisions,
            when: """
                (excluded.at, excluded.state = 'withdrawn', excluded.ledger_entry)
                    > (s.at, s.state = 'withdrawn', s.ledger_entry)
                """)
    }

    /// Makes the decisions stand whatever stood before, and returns those that changed.
    static func replace(
        _ decisions: [StandingConsent], in transaction: PostgresTransaction
    ) async throws -> [StandingConsent] {
        guard !decisions.isEmpty else { return [] }
        return try standing(
            await transaction.query(write(decisions, when: "s.ledger_entry <> excluded.ledger_entry")))
    }

    private static func write(_ decisions: [StandingConsent], when condition: SQL) -> SQL {
        """
        INSERT INTO profiles.consent_state AS s (shard, profile_id, purpose, state, at, ledger_entry)
        SELECT * FROM unnest(\(binary: decisions.map { Shard($0.profileID) }),
            \(binary: decisions.map { $0.profileID }), \(binary: decisions.map { $0.purpose }),
            \(binary: decisions.map { $0.decision.state.rawValue }),
            \(binary: decisions.map { $0.decision.at }), \(binary: decisions.map { $0.decision.entry }))
            AS d(shard, profile_id, purpose, state, at, ledger_entry)
        ORDER BY shard, profile_id, purpose
        ON CONFLICT (shard, profile_id, purpose) DO UPDATE
        SET state = excluded.state, at = excluded.at, ledger_entry = excluded.ledger_entry
        WHERE \(condition)
        RETURNING s.profile_id, s.purpose, s.state, s.at, s.ledger_entry
        """
    }

    /// The decisions that stand for the profiles.
    static func standing(
        of profiles: [ProfileID], in session: some PostgresSession
    ) async throws -> [StandingConsent] {
        try standing(await session.query(standing(of: profiles)))
    }

    /// The statement that reads the decisions that stand for the profiles.
    static func standing(of profiles: [ProfileID]) -> SQL {
        """
        SELECT s.profile_id, s.purpose, s.state, s.at, s.ledger_entry
        FROM unnest(\(binary: profiles.map { Shard($0) }), \(binary: profiles)) AS k(shard, profile_id)
        JOIN profiles.consent_state s ON s.shard = k.shard AND s.profile_id = k.profile_id
        """
    }

    /// Removes what stands for the profiles on purposes that nothing stands on any more.
    static func keep(
        _ standing: [StandingConsent], of profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            DELETE FROM profiles.consent_state s
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE s.shard = k.shard AND s.profile_id = k.profile_id
                AND (s.profile_id, s.purpose) NOT IN (
                    SELECT * FROM unnest(\(standing.map(\.profileID))::uuid[], \(standing.map(\.purpose))::text[]))
            """)
    }

    /// Has everybody who keeps what stands for the profiles in memory read it anew: it is about to change without an entry in
    /// the ledger. The chains of their shards are locked.
    static func note(changesOf profiles: some Sequence<ProfileID>, in transaction: PostgresTransaction)
        async throws
    {
        let shards = Set(profiles.map { Shard($0) }).sorted()
        try await transaction.execute(
            """
            INSERT INTO consent_change AS c (shard, changes) SELECT shard, 1 FROM unnest(\(binary: shards)) AS w (shard)
            ON CONFLICT (shard) DO UPDATE SET changes = c.changes + 1
            """)
    }

    /// Notes that the decisions of everybody whom the merges had joined stand as they do without them.
    static func note(followed merges: Set<MergeID>, in transaction: PostgresTransaction) async throws {
        guard !merges.isEmpty else { return }
        try await transaction.execute(
            """
            INSERT INTO profiles.consent_unmerge (shard, profile_id, merge_id)
            SELECT shard, profile_id, merge_id FROM profiles.unmerged_profile
            WHERE merge_id = ANY(\(merges.sorted())::uuid[]) ORDER BY shard, profile_id, merge_id
            ON CONFLICT DO NOTHING
            """)
    }

    /// Removes the decisions of the profiles; returns how many.
    @discardableResult
    static func remove(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        guard !profiles.isEmpty else { return 0 }
        return try await transaction.execute(
            """
            DELETE FROM profiles.consent_state s
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE s.shard = k.shard AND s.profile_id = k.profile_id
            """)
    }

    /// Removes the grants of the profiles, and where identity has erased them what they withdrew as well.
    static func forget(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            """
            DELETE FROM profiles.consent_state s
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE s.shard = k.shard AND s.profile_id = k.profile_id
                AND (s.state = 'granted' OR NOT EXISTS (
                    SELECT FROM profiles.profile p
                    WHERE p.shard = s.shard AND p.profile_id = s.profile_id AND p.erased_at IS NULL))
            """)
    }

    static func standing(_ rows: [PostgresRow]) throws -> [StandingConsent] { try rows.map(standing) }

    private static func standing(_ row: PostgresRow) throws -> StandingConsent {
        guard let state = ConsentChange.State(rawValue: try row.get("state", as: String.self)) else {
            throw PostgresError.decoding(column: "state", message: "is neither granted nor withdrawn")
        }
        return StandingConsent(
            profileID: try row.get("profile_id"), purpose: try row.get("purpose"),
            decision: ConsentDecision(state: state, at: try row.get("at"), entry: try row.get("ledger_entry"))
        )
    }
}
