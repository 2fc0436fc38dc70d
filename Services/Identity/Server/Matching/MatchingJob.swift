import IdentityDomain
import Models
import Postgres

/// A run of matching over the profiles, and records that were brought to it.
enum MatchingJobTag {}
typealias MatchingJobID = TypedID<MatchingJobTag>

/// What is compared, and what follows from it.
struct MatchingDefinition: Sendable, Hashable {
    let mapping: MatchMapping
    let policy: MatchPolicy
    /// Whether pairs at the policy's threshold are merged; else all are proposed.
    let automatic: Bool
    /// What the ids of the job's records are, where it has any.
    let recordType: Identifier.Kind?
    /// Whose the traits of the records are.
    let sourceID: SourceID?

    init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        try fields.allow(["fields", "policy", "automatic", "recordType", "sourceId"])
        recordType = try fields.optionalString("recordType").map { text throws(DecodingProblem) in
            guard let kind = Identifier.Kind(rawValue: text) else {
                throw fields.problem(
                    "recordType", expected: "a type of identifiers, such as salesforce:contact")
            }
            return kind
        }
        sourceID = try fields.optionalID("sourceId")
        mapping = try MatchMapping(json: fields["fields"] ?? MatchMapping.standardJSON, at: "fields")
        if let policy = fields["policy"] {
            try JSONFields(policy, at: "policy").allow(["merge", "review"])
            self.policy = try MatchPolicy(json: policy, at: "policy")
        } else {
            policy = .standard
        }
        automatic = fields["automatic"] == nil ? true : try fields.bool("automatic")
    }

    var json: JSON {
        var members: [String: JSON] = [
            "fields": mapping.json, "policy": policy.json, "automatic": .bool(automatic),
        ]
        members["recordType"] = recordType.map { .string($0.rawValue) }
        members["sourceId"] = sourceID.map { .string($0.description) }
        return .object(members)
    }
}

extension MatchMapping {
    /// The usual mapping as callers would write it.
    static let standardJSON = JSON.object(
        Dictionary(
            standardSources.map { ($0.key.rawValue, .array($0.value.map(JSON.string))) },
            uniquingKeysWith: { first, _ in first }))
}

/// A job as it is stored.
struct MatchingJob: Sendable {
    enum State: String, CaseIterable, Sendable { case queued, running, done, failed, cancelled }

    /// What a running job does.
    enum Stage: String, CaseIterable, Sendable {
        case reading, blocking, learning, comparing, grouping, merging
    }

    /// What it came to so far.
    struct Counts: Sendable, Hashable {
        /// Records that were brought, those of them that were refused, and those that were somebody's before.
        var records: Int64 = 0
        var refusedRecords: Int64 = 0
        var knownRecords: Int64 = 0
        var profiles: Int64 = 0
        var comparedProfiles: Int64 = 0
        var comparedPairs: Int64 = 0
        var steps: Int64 = 0
        var stepsDone: Int64 = 0
        var merged: Int64 = 0
        /// Merges that made a record somebody's.
        var linked: Int64 = 0
        var proposed: Int64 = 0
        var rejectedBefore: Int64 = 0
        var withheld: Int64 = 0
        var moot: Int64 = 0
    }

    var id: MatchingJobID
    var definition: MatchingDefinition
    var state: State
    var stage: Stage?
    var failure: String?
    var createdAt: Instant
    var createdBy: String
    var startedAt: Instant?
    var endedAt: Instant?
    var run: Int
    var isPlanned: Bool
    var counts: Counts

    static let columns: SQL = """
        job_id, definition, state, stage, failure, created_at, created_by, started_at, ended_at, run, is_planned,
        profiles, compared_profiles, compared_pairs, steps, steps_done, merged, proposed, rejected_before, withheld, moot,
        records, refused_records, known_records, linked
        """

    init(_ row: PostgresRow) throws {
        id = try row.get("job_id")
        definition = try MatchingDefinition(json: try row.get("definition"))
        state = State(rawValue: try row.get("state")) ?? .failed
        stage = try row.get("stage", as: String?.self).flatMap { Stage(rawValue: $0) }
        failure = try row.get("failure")
        createdAt = try row.get("created_at")
        createdBy = try row.get("created_by")
        startedAt = try row.get("started_at")
        endedAt = try row.get("ended_at")
        run = try row.get("run")
        isPlanned = try row.get("is_planned")
        counts = Counts(
            records: try row.get("records"), refusedRecords: try row.get("refused_records"),
            knownRecords: try row.get("known_records"), profiles: try row.get("profiles"),
            comparedProfiles: try row.get("compared_profiles"),
            comparedPairs: try row.get("compared_pairs"), steps: try row.get("steps"),
            stepsDone: try row.get("steps_done"), merged: try row.get("merged"),
            linked: try row.get("linked"), proposed: try row.get("proposed"),
            rejectedBefore: try row.get("rejected_before"),
            withheld: try row.get("withheld"), moot: try row.get("moot"))
    }
}

extension MatchingJob {
    /// The job as the API shows it.
    var json: JSON {
        guard case .object(var members) = definition.json else { return .null }
        members["jobId"] = .string(id.description)
        members["state"] = .string(state.rawValue)
        members["stage"] = stage.map { .string($0.rawValue) } ?? .null
        members["createdAt"] = .string(createdAt.rfc3339)
        members["createdBy"] = .string(createdBy)
        members["startedAt"] = startedAt.map { .string($0.rfc3339) } ?? .null
        members["endedAt"] = endedAt.map { .string($0.rfc3339) } ?? .null
        members["error"] = failure.map { .string($0) } ?? .null
        members["counts"] = counts.json
        return .object(members)
    }
}

extension MatchingJob.Counts {
    var json: JSON {
        [
            "records": .integer(records), "refusedRecords": .integer(refusedRecords),
            "knownRecords": .integer(knownRecords), "profiles": .integer(profiles),
            "comparedProfiles": .integer(comparedProfiles),
            "comparedPairs": .integer(comparedPairs), "steps": .integer(steps),
            "stepsDone": .integer(stepsDone),
            "merged": .integer(merged), "linked": .integer(linked), "proposed": .integer(proposed),
            "rejectedBefore": .integer(rejectedBefore), "withheld": .integer(withheld),
            "moot": .integer(moot),
        ]
    }
}
