import IdentityDomain
import Models
import Postgres

/// The SQL of proposals.
enum MatchingProposalStore {
    private static let columns: SQL = """
        p.proposal_id, p.job_id, p.left_id, p.right_id, l.canonical_id AS left_root, r.canonical_id AS right_root,
        p.weight, p.probability, p.state, p.step_kind, p.doubt, p.explanation, p.proposed_at, p.decided_at,
        p.decided_by, p.note, p.merge_id
        """
    private static let tables: SQL = """
        identity.matching_proposal p
        JOIN profiles.profile l ON l.profile_id = p.left_id
        JOIN profiles.profile r ON r.profile_id = p.right_id
        """

    static func find(_ id: MatchingProposalID, in session: some PostgresSession) async throws
        -> MatchingProposal?
    {
        try await session.query(
            """
            SELECT \(columns) FROM \(tables)
            WHERE p.shard = \(MatchingProposal.shard(of: id)) AND p.proposal_id = \(id) AND p.state <> 'planned'
            """
        ).first.map(MatchingProposal.init)
    }

    /// The same, locked until the transaction ends. The profiles' locks come first.
    static func lock(
        _ id: MatchingProposalID, in transaction: PostgresTransaction
    ) async throws -> MatchingProposal? {
        try await transaction.query(
            """
            SELECT \(columns) FROM \(tables)
            WHERE p.shard = \(MatchingProposal.shard(of: id)) AND p.proposal_id = \(id) AND p.state <> 'planned'
            FOR UPDATE OF p
            """
        ).first.map(MatchingProposal.init)
    }

    /// Which proposals a list shows.
    struct Filter: Sendable {
        var state: MatchingProposal.State
        var minimumScore: Double
        var jobID: MatchingJobID?
    }

    /// The most likely first.
    static func page(
        _ filter: Filter, before position: (weight: Double, id: MatchingProposalID)?, limit: Int,
        in session: some PostgresSession
    ) async throws -> [MatchingProposal] {
        let job: SQL = if let id = filter.jobID { "AND p.job_id = \(id)" } else { "" }
        let bound: SQL =
            if let position {
                "AND (p.weight, p.proposal_id) < (\(position.weight)::float8, \(position.id)::uuid)"
            } else {
                ""
            }
        return try await session.query(
            """
            SELECT \(columns) FROM \(tables)
            WHERE p.state = \(filter.state.rawValue) AND p.probability >= \(filter.minimumScore)::float8 \(job) \(bound)
            ORDER BY p.weight DESC, p.proposal_id DESC LIMIT \(limit)
            """
        ).map(MatchingProposal.init)
    }

    static func decide(
        _ id: MatchingProposalID, _ state: MatchingProposal.State, _ step: StoredMerge.Step, merge: MergeID?,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.execute(
            """
            UPDATE identity.matching_proposal
            SET state = \(state.rawValue), decided_at = \(step.at), decided_by = \(step.by), note = \(step.note),
                merge_id = \(merge)
            WHERE shard = \(MatchingProposal.shard(of: id)) AND proposal_id = \(id)
            """)
    }

    // MARK: What else becomes of them

    /// What waits for an answer and is answered by a merge of these people into one.
    static func supersede(within roots: [ProfileID], at instant: Instant) -> SQL {
        """
        UPDATE identity.matching_proposal p SET state = 'superseded', decided_at = \(instant)
        FROM profiles.profile l, profiles.profile r
        WHERE l.canonical_id = ANY(\(roots)::uuid[]) AND p.left_id = l.profile_id AND p.state = 'pending'
            AND r.profile_id = p.right_id AND r.canonical_id = l.canonical_id
        """
    }

    /// Takes away everything about the profiles.
    static func erase(_ ids: [ProfileID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM identity.matching_proposal
            WHERE left_id = ANY(\(ids)::uuid[]) OR right_id = ANY(\(ids)::uuid[])
            """)
    }

    /// What is held on the profiles, for a request of access; who the others are is theirs.
    static func told(of ids: [ProfileID], in session: some PostgresSession) async throws -> JSON {
        let rows = try await session.query(
            """
            SELECT proposal_id, left_id, right_id, state, probability, explanation, proposed_at
            FROM identity.matching_proposal
            WHERE (left_id = ANY(\(ids)::uuid[]) OR right_id = ANY(\(ids)::uuid[])) AND state <> 'planned'
            ORDER BY proposed_at, proposal_id
            """)
        return .array(
            try rows.map { row in
                let ends: [ProfileID] = [try row.get("left_id"), try row.get("right_id")]
                return [
                    "proposalId": .string(
                        try row.get("proposal_id", as: MatchingProposalID.self).description),
                    "profileIds": .array(ends.filter(ids.contains).map { .string($0.description) }),
                    "state": .string(try row.get("state")), "score": .double(try row.get("probability")),
                    "explanation": try row.get("explanation"),
                    "proposedAt": .string(try row.get("proposed_at", as: Instant.self).rfc3339),
                ]
            })
    }

    // MARK: What nobody is asked again

    /// Two people of whom something is known, by their canonical profiles.
    struct Couple: Hashable, Sendable {
        let first: ProfileID
        let second: ProfileID

        init(_ left: ProfileID, _ right: ProfileID) { (first, second) = (min(left, right), max(left, right)) }
    }

    /// Everybody whom somebody has said to be two, by who they are now.
    static func rejections(in session: some PostgresSession) async throws -> Set<Couple> {
        try await couples("SELECT \(roots) FROM \(tables) WHERE p.state = 'rejected'", in: session)
    }

    /// The same among some people.
    static func rejections(
        among people: [ProfileID], in session: some PostgresSession
    ) async throws -> Set<Couple> {
        try await couples(
            """
            SELECT \(roots) FROM \(tables)
            WHERE p.state = 'rejected' AND l.canonical_id = ANY(\(people)::uuid[])
                AND r.canonical_id = ANY(\(people)::uuid[])
            """, in: session)
    }

    /// Everybody whose merge was undone and not allowed again.
    static func separations(in session: some PostgresSession) async throws -> Set<Couple> {
        try await couples(
            """
            SELECT \(roots) FROM profiles.merge m
            JOIN profiles.profile l ON l.profile_id = m.survivor_member
            JOIN profiles.profile r ON r.profile_id = m.merged_member
            WHERE m.undone_at IS NOT NULL AND m.allowed_at IS NULL
            """, in: session)
    }

    /// What waits for an answer among some people, by who they are now.
    static func pending(
        among people: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [Couple: MatchingProposalID] {
        let rows = try await transaction.query(
            """
            SELECT p.proposal_id, \(roots) FROM \(tables)
            WHERE p.state = 'pending' AND l.canonical_id = ANY(\(people)::uuid[])
                AND r.canonical_id = ANY(\(people)::uuid[])
            ORDER BY p.proposal_id
            """)
        return Dictionary(
            try rows.map { (try couple($0), try $0.get("proposal_id")) },
            uniquingKeysWith: { first, _ in first })
    }

    private static let roots: SQL = "l.canonical_id AS left_root, r.canonical_id AS right_root"

    private static func couples(_ sql: SQL, in session: some PostgresSession) async throws -> Set<Couple> {
        Set(try await session.query(sql).map(couple))
    }

    private static func couple(_ row: PostgresRow) throws -> Couple {
        Couple(try row.get("left_root"), try row.get("right_root"))
    }
}
