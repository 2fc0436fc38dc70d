import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// Weights of touchpoints that are learned from what people did: `/v1/touchpoint-models`.
struct TouchpointModelRoutes {
    let pool: PostgresPool
    let idempotency: Idempotency

    /// Models that may wait at a time: each reads the histories of thousands.
    private static let mostOpen = 10

    func add(to router: ServiceRouter) {
        router.get("/v1/touchpoint-models", scope: .segmentsRead, touches: .definitions) {
            try await list($0)
        }
        router.post("/v1/touchpoint-models", scope: .segmentsWrite, touches: .changes) { request in
            try await create(request)
        }
        router.get("/v1/touchpoint-models/{id}", scope: .segmentsRead, touches: .definitions) { request in
            let id = try request.pathID("id", as: TouchpointModelID.self)
            guard let model = try await pool.withConnection({ try await TouchpointModelStore($0).get(id) })
            else { throw Problem.noTouchpointModel }
            return .json(model.json)
        }
        router.delete("/v1/touchpoint-models/{id}", scope: .segmentsWrite, touches: .changes) { request in
            let id = try request.pathID("id", as: TouchpointModelID.self)
            guard try await pool.withConnection({ try await TouchpointModelStore($0).delete(id) }) else {
                throw Problem.noTouchpointModel
            }
            return .empty()
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...100, default: 20)
        var before: TouchpointModelID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = TouchpointModelID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            before = id
        }
        let last = before
        let found = try await pool.withConnection {
            try await TouchpointModelStore($0).list(before: last, limit: limit + 1)
        }
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let text = try await request.body(maxBytes: WrittenDefinition.maxBytes)
        let question: TouchpointModelQuestion
        do { question = try TouchpointModelQuestion(RuleField(try WrittenDefinition.json(text))) } catch let
            problem as RuleProblem
        { throw WrittenDefinition.problem([problem], in: text, type: TouchpointQuestions.type) }
        var answer = try await idempotency.run(request, content: text) { now, transaction in
            let id = TouchpointModelID(UUIDv7.make(at: now))
            let store = TouchpointModelStore(transaction)
            guard try await store.countOpen() < Self.mostOpen else {
                throw Problem.tooManyRequests(
                    retryAfterSeconds: 60,
                    "\(Self.mostOpen) models are being learned or wait to be; try again when one is done")
            }
            try await store.insert(id, question, at: now)
            try await transaction.notify(TouchpointModelStore.channel)
            guard let stored = try await store.get(id) else { throw Problem.noTouchpointModel }
            return Idempotency.Outcome(status: .accepted, body: stored.json)
        }
        if let id = try JSONParser.parse(answer.body)["modelId"]?.string {
            answer.headers[.location] = "/v1/touchpoint-models/\(id)"
        }
        return answer
    }
}

extension Problem {
    static var noTouchpointModel: Problem {
        .notFound(
            "there is no model with this id; GET /v1/touchpoint-models lists them",
            type: "unknown-touchpoint-model")
    }
}
