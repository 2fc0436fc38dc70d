import IdentityDomain
import Models
import Postgres
import ProfileStore

/// Two profiles, a profile and a record, or two records that may be of one person.
enum MatchingProposalTag {}
typealias MatchingProposalID = TypedID<MatchingProposalTag>

/// A proposal as it is stored, with who its sides belong to by now.
struct MatchingProposal: Sendable {
    enum State: String, CaseIterable, Sendable {
        case planned, pending, accepted, rejected, automatic, superseded

        /// Those that anybody is shown.
        static let shown = allCases.filter { $0 != .planned }
    }

    var id: MatchingProposalID
    var jobID: MatchingJobID
    /// A profile on the left where there is one.
    var left: MatchingEnd
    var right: MatchingEnd
    /// The profiles that they are; nil of a record that is nobody's.
    var leftMember: ProfileID?
    var rightMember: ProfileID?
    /// And those that these belong to.
    var leftRoot: ProfileID?
    var rightRoot: ProfileID?
    /// The ids of the records, sealed; as text where the proposal was opened.
    var leftName: String?
    var rightName: String?
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
        left = try MatchingEnd("left", of: row)
        right = try MatchingEnd("right", of: row)
        leftMember = try row.get("left_member")
        rightMember = try row.get("right_member")
        leftRoot = try row.get("left_root")
        rightRoot = try row.get("right_root")
        leftName = try row.get("left_name")
        rightName = try row.get("right_name")
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

    /// The proposal that a job makes of two sides: always the same, whoever carries the job out.
    static func id(of left: MatchingEnd, _ right: MatchingEnd, in job: MatchingJob) -> MatchingProposalID {
        MatchingProposalID(
            UUIDv7.derived(
                at: job.createdAt, from: "matching proposal", job.id.description, left.name, right.name))
    }

    /// Its sides, each with whom it belongs to by now and the id of the record that it is.
    var sides: [(end: MatchingEnd, root: ProfileID?, name: String?)] {
        [(left, leftRoot, leftName), (right, rightRoot, rightName)]
    }

    /// The records in it.
    var records: [IdentifierPlace] { [left, right].compactMap(\.record) }

    /// Whether both sides are one person.
    var isMoot: Bool { leftRoot != nil && leftRoot == rightRoot }
}

extension MatchingProposal {
    /// The proposal as the API lists it.
    var json: JSON {
        var members: [String: JSON] = [
            "proposalId": .string(id.description), "jobId": .string(jobID.description),
            "between": .array(sides.map { Self.json($0.end.profileID) }),
            "profileIds": .array(sides.map { Self.json($0.root) }),
            "score": .double(probability), "weight": .double(weight), "state": .string(state.rawValue),
            "heldBack": doubt.map { .string($0.rawValue) } ?? .null,
            "proposedAt": .string(proposedAt.rfc3339),
        ]
        if !records.isEmpty { members["records"] = .array(sides.map { Self.json($0.end, named: $0.name) }) }
        if let decidedAt {
            var decision: [String: JSON] = ["at": .string(decidedAt.rfc3339)]
            decision["by"] = decidedBy.map { .string($0) }
            decision["note"] = note.map { .string($0) }
            members["decision"] = .object(decision)
        }
        members["mergeId"] = mergeID.map { .string($0.description) }
        return .object(members)
    }

    private static func json(_ id: ProfileID?) -> JSON { id.map { .string($0.description) } ?? .null }

    private static func json(_ end: MatchingEnd, named name: String?) -> JSON {
        guard let place = end.record else { return .null }
        return ["type": .string(place.kind.rawValue), "id": name.map { .string($0) } ?? .null]
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
