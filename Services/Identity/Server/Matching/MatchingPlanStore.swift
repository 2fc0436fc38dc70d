import IdentityDomain
import Models
import Postgres
import ProfileStore

/// The SQL of what a job has still to carry out.
enum MatchingPlanStore {
    /// One step before it is carried out.
    struct NewStep: Sendable {
        let step: MatchPlan.Step
        let left: MatchingEnd
        let right: MatchingEnd
        let probability: Double
        let explanation: JSON
    }

    /// `names` are the ids of the records, sealed.
    static func insert(
        _ steps: [NewStep], of job: MatchingJob, names: [IdentifierPlace: String], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        var rows = CopyRows()
        for (place, new) in steps.enumerated() {
            let id = MatchingProposal.id(of: new.left, new.right, in: job)
            let sides = [new.left, new.right].flatMap { end -> [any PostgresEncodable] in
                let record = end.record
                return [
                    end.profileID, record?.shard, record?.kind.rawValue, record?.hash,
                    record.flatMap { names[$0] },
                ]
            }
            let start: [any PostgresEncodable] = [MatchingProposal.shard(of: id), id, job.id]
            let rest: [any PostgresEncodable] = [
                new.step.weight, new.probability, MatchingProposal.State.planned.rawValue,
                new.step.kind.rawValue, place, new.step.doubt?.rawValue, new.explanation, now,
            ]
            rows.append(row: start + sides + rest)
        }
        try await transaction.copyIn(
            table: "identity.matching_proposal",
            columns: [
                "shard", "proposal_id", "job_id", "left_id", "left_shard", "left_type", "left_hash",
                "left_name",
                "right_id", "right_shard", "right_type", "right_hash", "right_name", "weight", "probability",
                "state",
                "step_kind", "step", "doubt", "explanation", "proposed_at",
            ], rows: rows)
    }

    /// The next steps in their order.
    static func next(
        _ limit: Int, of job: MatchingJob, in transaction: PostgresTransaction
    ) async throws -> [MatchingProposal] {
        try await transaction.query(
            """
            SELECT \(columns) FROM identity.matching_proposal p
            WHERE p.job_id = \(job.id) AND p.state = 'planned' ORDER BY p.step LIMIT \(limit)
            """
        ).map(MatchingProposal.init)
    }

    /// Who the profiles belong to is not asked here: they are locked and looked up by whoever carries the step out.
    private static let columns: SQL = """
        p.proposal_id, p.job_id, \(MatchingProposalStore.ends), p.left_id AS left_member, p.right_id AS right_member,
        p.left_id AS left_root, p.right_id AS right_root, p.weight,
        p.probability, p.state, p.step_kind, p.doubt, p.explanation, p.proposed_at, p.decided_at, p.decided_by, p.note,
        p.merge_id
        """

    /// What became of a step.
    enum Outcome: Sendable {
        case merged(MergeID)
        case asked(MatchPlan.Doubt?)
        /// Nobody is asked: what it says is known, or was answered before.
        case dropped
        /// It was asked before, and is asked now with what was found this time.
        case renewed(MatchingProposalID)
    }

    /// Writes what became of steps.
    static func settle(
        _ outcomes: [(step: MatchingProposal, outcome: Outcome)], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        var statements: [SQL] = []
        var kept: [(MatchingProposal, MatchingProposal.State, MatchPlan.Doubt?, MergeID?)] = []
        var dropped: [MatchingProposalID] = []
        var renewed: [(MatchingProposal, MatchingProposalID)] = []
        for (step, outcome) in outcomes {
            switch outcome {
            case .merged(let id): kept.append((step, .automatic, nil, id))
            case .asked(let doubt): kept.append((step, .pending, doubt, nil))
            case .dropped: dropped.append(step.id)
            case .renewed(let id):
                renewed.append((step, id))
                dropped.append(step.id)
            }
        }
        if !kept.isEmpty {
            statements.append(
                """
                UPDATE identity.matching_proposal p
                SET state = w.state, doubt = w.doubt, merge_id = w.merge_id,
                    decided_at = CASE WHEN w.merge_id IS NOT NULL THEN \(now)::timestamptz END
                FROM unnest(\(kept.map { MatchingProposal.shard(of: $0.0.id) })::smallint[],
                            \(kept.map(\.0.id))::uuid[], \(kept.map(\.1.rawValue))::text[],
                            \(kept.map(\.2?.rawValue))::text[], \(kept.map(\.3))::uuid[])
                     AS w (shard, id, state, doubt, merge_id)
                WHERE p.shard = w.shard AND p.proposal_id = w.id
                """)
        }
        if !renewed.isEmpty {
            statements.append(
                """
                UPDATE identity.matching_proposal p
                SET job_id = s.job_id, weight = s.weight, probability = s.probability, doubt = s.doubt,
                    explanation = s.explanation,
                    left_id = s.left_id, left_shard = s.left_shard, left_type = s.left_type,
                    left_hash = s.left_hash, left_name = s.left_name,
                    right_id = s.right_id, right_shard = s.right_shard, right_type = s.right_type,
                    right_hash = s.right_hash, right_name = s.right_name
                FROM unnest(\(renewed.map { MatchingProposal.shard(of: $0.1) })::smallint[],
                            \(renewed.map(\.1))::uuid[],
                            \(renewed.map { MatchingProposal.shard(of: $0.0.id) })::smallint[],
                            \(renewed.map(\.0.id))::uuid[]) AS w (shard, id, step_shard, step_id)
                JOIN identity.matching_proposal s ON s.shard = w.step_shard AND s.proposal_id = w.step_id
                WHERE p.shard = w.shard AND p.proposal_id = w.id AND p.state = 'pending'
                """)
        }
        if !dropped.isEmpty {
            statements.append(
                """
                DELETE FROM identity.matching_proposal p
                USING unnest(\(dropped.map(MatchingProposal.shard))::smallint[], \(dropped)::uuid[]) AS w (shard, id)
                WHERE p.shard = w.shard AND p.proposal_id = w.id
                """)
        }
        guard !statements.isEmpty else { return }
        try await transaction.pipeline(statements)
    }
}
