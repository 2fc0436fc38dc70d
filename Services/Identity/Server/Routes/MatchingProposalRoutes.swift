import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Pairs of profiles that may be of one person: looking at them and deciding.
struct MatchingProposalRoutes {
    let reading: ProfileReading
    let decisions: MatchingDecisions
    let idempotency: Idempotency
    private static let longestNote = 1000

    private var pool: PostgresPool { reading.pool }

    func add(to router: ServiceRouter) {
        router.get("/v1/matching/proposals", scope: .profilesRead, touches: .people) { try await list($0) }
        router.get("/v1/matching/proposals/{id}", scope: .profilesRead, touches: .people) { request in
            let id = try request.pathID("id", as: MatchingProposalID.self)
            return try await pool.transaction(isolation: .repeatableRead) { transaction in
                guard let proposal = try await MatchingProposalStore.find(id, in: transaction) else {
                    throw Problem.noProposal
                }
                let opened = try await decisions.notes.opened(proposal)
                return .json(try await explained(opened, in: transaction))
            }
        }
        router.post("/v1/matching/proposals/{id}/decision", scope: .profilesWrite, touches: .people) {
            try await decide($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let state = try request.choice("state", of: MatchingProposal.State.shown) ?? .pending
        var minimum = 0.0
        if let text = try request.query("minimumScore") {
            guard let score = Double(text), (0...1).contains(score) else {
                throw Problem.badRequest("`minimumScore` must be a number from 0 to 1")
            }
            minimum = score
        }
        let filter = MatchingProposalStore.Filter(
            state: state, minimumScore: minimum, jobID: try request.queryID("jobId"))
        let position = try Cursor.decode(try request.query("cursor"), count: 2).map { parts throws(Problem) in
            guard let weight = Double(parts[0]), weight.isFinite, let id = MatchingProposalID(parts[1]) else {
                throw Problem.badMatchingCursor
            }
            return (weight: weight, id: id)
        }
        let found = try await MatchingProposalStore.page(filter, before: position, limit: limit + 1, in: pool)
        let shown = found.prefix(limit)
        let next = found.count > limit ? shown.last : nil
        var items: [JSON] = []
        for proposal in shown { items.append(try await decisions.notes.opened(proposal).json) }
        return .page(
            items,
            nextCursor: next.map { Cursor.encode(["\($0.weight)", $0.id.description]) })
    }

    /// The proposal with why it has its score. The values are those of now: none are kept with it.
    private func explained(
        _ proposal: MatchingProposal, in transaction: PostgresTransaction
    ) async throws -> JSON {
        guard case .object(var members) = proposal.json else { return .null }
        let mapping = try await MatchingJobStore.find(proposal.jobID, in: transaction)?.definition.mapping
        let policy = try await decisions.resolution.policies.latest(in: transaction)
        let values = try await values(of: proposal, mapping, policy, in: transaction)
        members["explanation"] = Self.filled(proposal.explanation, values)
        return .object(members)
    }

    /// What each of the two has in each column; nothing of a record that is not kept any more.
    private func values(
        of proposal: MatchingProposal, _ mapping: MatchMapping?, _ policy: IdentityPolicy,
        in transaction: PostgresTransaction
    ) async throws -> [[String?]] {
        guard let mapping else { return [] }
        let records = try await decisions.records.latest(proposal.records, in: transaction)
        var values: [[String?]] = []
        let members = [
            (proposal.left, proposal.leftMember, proposal.leftRoot),
            (proposal.right, proposal.rightMember, proposal.rightRoot),
        ]
        for (end, member, root) in members {
            guard let member, let root else {
                let record = end.record.flatMap { records[$0]?.record }
                values.append(record?.values(mapping, policy) ?? [])
                continue
            }
            // Of one person by now each shows what is its own.
            let view =
                proposal.isMoot
                ? try await reading.ownView(of: member, in: transaction)
                : try await reading.view(of: root, in: transaction)
            values.append(
                view.flatMap {
                    mapping.values(traits: $0.values, identifiers: MatchingReading.identifiers(of: $0))
                } ?? [])
        }
        return values
    }

    /// An explanation with the values beside each field.
    static func filled(_ explanation: JSON, _ values: [[String?]]) -> JSON {
        guard case .object(var members) = explanation, let fields = explanation["fields"]?.array else {
            return explanation
        }
        members["fields"] = .array(
            fields.enumerated().map { place, field in
                guard case .object(var field) = field else { return field }
                field["column"] = nil
                field["values"] = .array(
                    values.map { row in
                        place < row.count ? row[place].map { .string($0) } ?? .null : .null
                    })
                return .object(field)
            })
        return .object(members)
    }

    private func decide(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: MatchingProposalID.self)
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(["decision", "note"])
        let decision = try fields.choice("decision", as: MatchingDecisions.Decision.self)
        let note = try fields.string("note")
        guard (1...Self.longestNote).contains(note.utf8.count) else {
            throw fields.problem("note", expected: "1 to \(Self.longestNote) bytes of text that say why")
        }
        let by = request.caller.label
        do {
            return try await idempotency.run(request, body: body) { now, transaction in
                var proposal = try await decisions.decide(
                    id, decision, StoredMerge.Step(at: now, by: by, note: note),
                    traceparent: request.traceparent, in: transaction)
                // The answer is kept under one profile, and what was written may be about the other.
                proposal.note = nil
                proposal = try await decisions.notes.opened(proposal)
                return Idempotency.Outcome(
                    status: .ok, body: proposal.json, profileID: proposal.leftRoot ?? proposal.rightRoot)
            }
        } catch let refusal as MatchingDecisions.Refusal {
            throw Problem(refusal)
        } catch is RetryLater {
            throw Problem.unavailable("the same person is being changed elsewhere; try again")
        }
    }
}

extension Problem {
    fileprivate static var noProposal: Problem {
        .notFound(
            "there is no such proposal; GET /v1/matching/proposals lists them", type: "unknown-proposal")
    }

    fileprivate init(_ refusal: MatchingDecisions.Refusal) {
        self =
            switch refusal {
            case .unknown: .noProposal
            case .decided(let state):
                .conflict(
                    "the proposal is \(state.rawValue) already; POST /v1/merges joins two profiles, and undoing their merge parts them",
                    type: "proposal-decided")
            case .moot:
                .conflict("both are the same person by now", type: "already-merged")
            case .recordGone:
                .conflict("nothing is left of the record; bring it again in a new job", type: "record-gone")
            }
    }
}
