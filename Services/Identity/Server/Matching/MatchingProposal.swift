import IdentityDomain
import Models
import Postgres

/// Two profiles that may be of one person.
enum MatchingProposalTag {}
typealias MatchingProposalID = TypedID<MatchingProposalTag>

/// A proposal as it is stored, with who its profiles belong to by now.
struct MatchingProposal: Sendable {
    enum State: String, CaseIterable, Sendable {
        case planned, pending, accepted, rejected, automatic, superseded

        /// Those that anybody is shown.
        static let shown = allCases.filter { $0 != .planned }
    }

    var id: MatchingProposalID
    var jobID: MatchingJobID
    var left: ProfileID
    var right: ProfileID
    var leftRoot: ProfileID
    var rightRoot: ProfileID
    var weight: Double
    var probability: Double
    var state: State
    var kind: MatchPlan.Step.Kind
    var doubt: MatchPlan.Doubt?
    var explanation: JSON
    var proposedAt: Instant
    var decidedAt: Instant?
    var decidedBy: String?
    var note: String?
    var mergeID: MergeID?

    init(_ row: PostgresRow) throws {
        id = try row.get("proposal_id")
        jobID = try row.get("job_id")
        left = try row.get("left_id")
        right = try row.get("right_id")
        leftRoot = try row.get("left_root")
        rightRoot = try row.get("right_root")
        weight = try row.get("weight")
        probability = try row.get("probability")
        state = State(rawValue: try row.get("state")) ?? .superseded
        kind = MatchPlan.Step.Kind(rawValue: try row.get("step_kind")) ?? .review
        doubt = try row.get("doubt", as: String?.self).flatMap { MatchPlan.Doubt(rawValue: $0) }
        explanation = try row.get("explanation")
        proposedAt = try row.get("proposed_at")
        decidedAt = try row.get("decided_at")
        decidedBy = try row.get("decided_by")
        note = try row.get("note")
        mergeID = try row.get("merge_id")
    }

    /// Where a proposal is kept.
    static func shard(of id: MatchingProposalID) -> Shard { Shard(hashing: id.description) }

    /// The proposal that a job makes of two profiles: always the same, whoever carries the job out.
    static func id(of left: ProfileID, _ right: ProfileID, in job: MatchingJob) -> MatchingProposalID {
        MatchingProposalID(
            UUIDv7.derived(
                at: job.createdAt, from: "matching proposal", job.id.description, left.description,
                right.description))
    }
}

extension MatchingProposal {
    /// The proposal as the API lists it.
    var json: JSON {
        var members: [String: JSON] = [
            "proposalId": .string(id.description), "jobId": .string(jobID.description),
            "between": [.string(left.description), .string(right.description)],
            "profileIds": [.string(leftRoot.description), .string(rightRoot.description)],
            "score": .double(probability), "weight": .double(weight), "state": .string(state.rawValue),
            "heldBack": doubt.map { .string($0.rawValue) } ?? .null,
            "proposedAt": .string(proposedAt.rfc3339),
        ]
        if let decidedAt {
            var decision: [String: JSON] = ["at": .string(decidedAt.rfc3339)]
            decision["by"] = decidedBy.map { .string($0) }
            decision["note"] = note.map { .string($0) }
            members["decision"] = .object(decision)
        }
        members["mergeId"] = mergeID.map { .string($0.description) }
        return .object(members)
    }

    /// The cause of a merge that follows from it.
    func cause(by operatorName: String? = nil, note: String? = nil) -> JSON {
        var members: [String: JSON] = [
            "kind": "matching", "proposalId": .string(id.description), "jobId": .string(jobID.description),
            "score": .double(probability), "decision": operatorName == nil ? "automatic" : "accepted",
        ]
        members["by"] = operatorName.map { .string($0) }
        members["note"] = note.map { .string($0) }
        return .object(members)
    }
}
