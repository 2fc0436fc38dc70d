import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit

/// Jobs that look for profiles of one person.
struct MatchingRoutes {
    let pool: PostgresPool
    let idempotency: Idempotency
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.get("/v1/matching/jobs", scope: .profilesRead) { try await list($0) }
        router.get("/v1/matching/jobs/{id}", scope: .profilesRead) { request in
            .json(try await job(try request.pathID("id"), in: pool).json)
        }
        router.post("/v1/matching/jobs", scope: .profilesWrite) { try await start($0) }
        router.post("/v1/matching/jobs/{id}/cancel", scope: .profilesWrite) { request in
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

    private func start(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let definition = try MatchingDefinition(json: body)
        let by = request.caller.label
        return try await idempotency.run(request, body: body) { now, transaction in
            guard try await MatchingJobStore.open(in: transaction) < MatchingSettings.mostOpenJobs else {
                throw Problem.conflict(
                    "\(MatchingSettings.mostOpenJobs) jobs are waiting already; cancel some, or wait",
                    type: "too-many-jobs")
            }
            let id = MatchingJobID(UUIDv7.make(at: now))
            guard
                let job = try await MatchingJobStore.insert(
                    definition, id: id, by: by, at: now, in: transaction)
            else { throw Problem.unavailable("the job was not written; try again") }
            return Idempotency.Outcome(status: .created, body: job.json)
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
