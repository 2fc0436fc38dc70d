import IdentityDomain
import Models
import Postgres
import ProfileStore

/// The SQL of proposals.
enum MatchingProposalStore {
    private static let columns: SQL = """
        p.proposal_id, p.job_id, \(ends), l.profile_id AS left_member, r.profile_id AS right_member,
        l.canonical_id AS left_root, r.canonical_id AS right_root,
        p.weight, p.probability, p.state, p.step_kind, p.doubt, p.explanation, p.proposed_at, p.decided_at,
        p.decided_by, p.note, p.merge_id
        """
    /// What is compared.
    static let ends: SQL = """
        p.left_id, p.left_shard, p.left_type, p.left_hash, p.left_name,
        p.right_id, p.right_shard, p.right_type, p.right_hash, p.right_name
        """
    /// A proposal `p` with the profiles `l` and `r` of its sides, where a record has one by now.
    static let tables: SQL = """
        identity.matching_proposal p
        LEFT JOIN profiles.identifier li
            ON li.shard = p.left_shard AND li.type = p.left_type AND li.value_hash = p.left_hash
        LEFT JOIN profiles.identifier ri
            ON ri.shard = p.right_shard AND ri.type = p.right_type AND ri.value_hash = p.right_hash
        LEFT JOIN profiles.profile l ON l.profile_id = coalesce(p.left_id, li.profile_id)
        LEFT JOIN profiles.profile r ON r.profile_id = coalesce(p.right_id, ri.profile_id)
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
            SELECT proposal_id, left_id, right_id, coalesce(left_type, right_type) AS type, state, probability,
                explanation, proposed_at
            FROM identity.matching_proposal
            WHERE (left_id = ANY(\(ids)::uuid[]) OR right_id = ANY(\(ids)::uuid[])) AND state <> 'planned'
            ORDER BY proposed_at, proposal_id
            """)
        return .array(
            try rows.map { row in
                let ends = [
                    try row.get("left_id", as: ProfileID?.self), try row.get("right_id", as: ProfileID?.self),
                ].compactMap(\.self)
                return [
                    "proposalId": .string(
                        try row.get("proposal_id", as: MatchingProposalID.self).description),
                    "profileIds": .array(ends.filter(ids.contains).map { .string($0.description) }),
                    "recordType": try row.get("type", as: String?.self).map { .string($0) } ?? .null,
                    "state": .string(try row.get("state")), "score": .double(try row.get("probability")),
                    "explanation": try row.get("explanation"),
                    "proposedAt": .string(try row.get("proposed_at", as: Instant.self).rfc3339),
                ]
            })
    }

    // MARK: What nobody is asked again

    /// Everybody whom somebody has said to be two, by who they are now.
    static func rejections(in session: some PostgresSession) async throws -> Set<MatchingCouple> {
        Set(
            try await session.query(
                """
                SELECT \(ends), l.canonical_id AS left_root, r.canonical_id AS right_root
                FROM \(tables) WHERE p.state = 'rejected'
                """
            ).map(couple))
    }

    /// The same among some people and records.
    static func rejections(
        among people: [ProfileID], _ records: [IdentifierPlace] = [], in session: some PostgresSession
    ) async throws -> Set<MatchingCouple> {
        Set(try await among(people, records, .rejected, in: session).map(couple))
    }

    /// Everybody whose merge was undone and not allowed again.
    static func separations(in session: some PostgresSession) async throws -> Set<MatchingCouple> {
        let rows = try await session.query(
            """
            SELECT l.canonical_id AS left_root, r.canonical_id AS right_root FROM profiles.merge m
            JOIN profiles.profile l ON l.profile_id = m.survivor_member
            JOIN profiles.profile r ON r.profile_id = m.merged_member
            WHERE m.undone_at IS NOT NULL AND m.allowed_at IS NULL
            """)
        return Set(
            try rows.map { row in
                MatchingCouple(
                    .profile(try row.get("left_root")), .profile(try row.get("right_root")))
            })
    }

    /// What waits for an answer among some people and records, by who they are now.
    static func pending(
        among people: [ProfileID], _ records: [IdentifierPlace] = [], in transaction: PostgresTransaction
    ) async throws -> [MatchingCouple: MatchingProposalID] {
        let rows = try await among(people, records, .pending, in: transaction)
        return Dictionary(
            try rows.map { (try couple($0), try $0.get("proposal_id", as: MatchingProposalID.self)) },
            uniquingKeysWith: { min($0, $1) })
    }

    /// Proposals whose sides are both among some people and records. Records that were made profiles in the meantime are
    /// found by the identifiers of these.
    private static func among(
        _ people: [ProfileID], _ records: [IdentifierPlace], _ state: MatchingProposal.State,
        in session: some PostgresSession
    ) async throws -> [PostgresRow] {
        let chosen: SQL = "p.proposal_id, \(ends)"
        return try await session.query(
            """
            WITH known AS (
                SELECT i.value_hash AS hash, q.canonical_id AS root
                FROM profiles.profile q JOIN profiles.identifier i ON i.profile_id = q.profile_id
                WHERE q.canonical_id = ANY(\(people)::uuid[])
                UNION ALL
                SELECT w.hash, NULL FROM unnest(\(records.map(\.hash))::bytea[]) AS w (hash)
            )
            SELECT \(chosen), l.canonical_id AS left_root, r.canonical_id AS right_root
            FROM identity.matching_proposal p
            JOIN profiles.profile l ON l.profile_id = p.left_id
            JOIN profiles.profile r ON r.profile_id = p.right_id
            WHERE p.state = \(state.rawValue) AND l.canonical_id = ANY(\(people)::uuid[])
                AND r.canonical_id = ANY(\(people)::uuid[])
            UNION ALL
            SELECT \(chosen), l.canonical_id, k.root
            FROM known k
            JOIN identity.matching_proposal p ON p.right_hash = k.hash
            JOIN profiles.profile l ON l.profile_id = p.left_id
            WHERE p.state = \(state.rawValue) AND l.canonical_id = ANY(\(people)::uuid[])
            UNION ALL
            SELECT \(chosen), o.root, k.root
            FROM known k
            JOIN identity.matching_proposal p ON p.right_hash = k.hash
            JOIN known o ON o.hash = p.left_hash
            WHERE p.state = \(state.rawValue)
            """)
    }

    private static func couple(_ row: PostgresRow) throws -> MatchingCouple {
        func end(_ side: String) throws -> MatchingEnd {
            if let root = try row.get("\(side)_root", as: ProfileID?.self) { return .profile(root) }
            return try MatchingEnd(side, of: row)
        }
        return MatchingCouple(try end("left"), try end("right"))
    }
}
