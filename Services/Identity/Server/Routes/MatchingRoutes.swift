import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Jobs that look for profiles of one person.
struct MatchingRoutes {
    let pool: PostgresPool
    let idempotency: Idempotency
    let clock: ServiceClock
    let records: MatchingRecordStore
    let policies: PolicyRegistry
    /// Refused records that the answer to a call names.
    private static let mostNamed = 100

    func add(to router: ServiceRouter) {
        router.get("/v1/matching/jobs", scope: .profilesRead, touches: .definitions) { try await list($0) }
        router.get("/v1/matching/jobs/{id}", scope: .profilesRead, touches: .definitions) { request in
            .json(try await job(try request.pathID("id"), in: pool).json)
        }
        router.post("/v1/matching/jobs", scope: .profilesWrite, touches: .changes) { try await start($0) }
        router.get("/v1/matching/jobs/{id}/records", scope: .profilesRead, touches: .people) {
            try await listRecords($0)
        }
        router.post("/v1/matching/jobs/{id}/cancel", scope: .profilesWrite, touches: .changes) { request in
            let id = try request.pathID("id", as: MatchingJobID.self)
            let now = try await clock.now()
            return try await pool.transaction { transaction in
                let isCancelled = try await MatchingJobStore.cancel(id, at: now, in: transaction)
                let job = try await job(id, in: transaction)
                // Twice is as good as once.
                guard isCancelled || job.state == .cancelled else {
                    throw Problem.conflict("the job is \(job.state.rawValue) already", type: "job-ended")
                }
                return .json(job.json)
            }
        }
    }

    private func job(_ id: MatchingJobID, in session: some PostgresSession) async throws -> MatchingJob {
        guard let job = try await MatchingJobStore.find(id, in: session) else {
            throw Problem.notFound(
                "there is no such job; GET /v1/matching/jobs lists them", type: "unknown-job")
        }
        return job
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let state = try request.choice("state", of: MatchingJob.State.allCases)
        let position = try Cursor.decode(try request.query("cursor"), count: 1).map { parts throws(Problem) in
            guard let id = MatchingJobID(parts[0]) else { throw Problem.badMatchingCursor }
            return id
        }
        let jobs = try await MatchingJobStore.page(state, before: position, limit: limit + 1, in: pool)
        let shown = jobs.prefix(limit)
        let next = jobs.count > limit ? shown.last : nil
        return .page(shown.map(\.json), nextCursor: next.map { Cursor.encode([$0.id.description]) })
    }

    private func listRecords(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        let state = try request.choice("state", of: MatchingRecordList.State.allCases)
        let position = try Cursor.decode(try request.query("cursor"), count: 1).map { parts throws(Problem) in
            guard let row = Int(parts[0]), row > 0 else { throw Problem.badMatchingCursor }
            return row
        }
        let id = try request.pathID("id", as: MatchingJobID.self)
        _ = try await job(id, in: pool)
        let found = try await MatchingRecordList(records: records)
            .page(of: id, state, after: position ?? 0, limit: limit + 1, in: pool)
        let shown = found.prefix(limit)
        let next = found.count > limit ? shown.last : nil
        return .page(shown.map(\.json), nextCursor: next.map { Cursor.encode(["\($0.row)"]) })
    }

    private func start(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let content = try await request.decodedBody(maxBytes: MatchingImport.mostBytes)
        let body = try MatchingImport.Body(content)
        let definition = try MatchingDefinition(json: body.definition)
        let policy = try await policies.latest(in: pool)
        let brought = try await read(body, definition, policy)
        let by = request.caller.label
        return try await idempotency.run(request, content: content) { now, transaction in
            guard try await MatchingJobStore.open(in: transaction) < MatchingSettings.mostOpenJobs else {
                throw Problem.conflict(
                    "\(MatchingSettings.mostOpenJobs) jobs are waiting already; cancel some, or wait",
                    type: "too-many-jobs")
            }
            let id = MatchingJobID(UUIDv7.make(at: now))
            let refused = brought?.refused ?? []
            guard
                let job = try await MatchingJobStore.insert(
                    definition, id: id, records: brought?.rows.count ?? 0, refused: refused.count, by: by,
                    at: now,
                    in: transaction), case .object(var members) = job.json
            else { throw Problem.unavailable("the job was not written; try again") }
            if let brought {
                try await records.insert(brought, of: id, policy: policy, at: now, in: transaction)
                members["refused"] = .array(refused.prefix(Self.mostNamed).map(\.json))
            }
            return Idempotency.Outcome(status: .created, body: .object(members))
        }
    }

    /// The records of a call, each with its verdict; nil where it brings none.
    private func read(
        _ body: MatchingImport.Body, _ definition: MatchingDefinition, _ policy: IdentityPolicy
    ) async throws -> MatchingImport? {
        let fields = try JSONFields(body.definition)
        guard let texts = body.records else {
            for name in ["recordType", "sourceId"] where fields[name] != nil {
                throw Problem.badRequest("`\(name)` is said of records, and there are no `records`")
            }
            return nil
        }
        guard let kind = definition.recordType, policy.policy(of: kind) != nil else {
            let known = policy.types.map(\.kind.rawValue).joined(separator: ", ")
            let others =
                policy.others == nil ? "" : ", or the id of another system such as salesforce:contact"
            throw fields.problem("recordType", expected: "what the records' ids are: \(known)\(others)")
        }
        let now = try await clock.now()
        return await MatchingCompute.run {
            MatchingImport(texts, of: kind, definition.mapping, policy, now: now)
        }
    }
}

extension ServiceRequest {
    /// A query parameter that is one of several words.
    func choice<Choice: RawRepresentable>(
        _ name: String, of choices: [Choice]
    ) throws(Problem) -> Choice? where Choice.RawValue == String {
        guard let text = try query(name) else { return nil }
        guard let choice = choices.first(where: { $0.rawValue == text }) else {
            let words = choices.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("`\(name)` must be one of \(words)")
        }
        return choice
    }
}

extension Problem {
    static var badMatchingCursor: Problem {
        .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
    }
}
