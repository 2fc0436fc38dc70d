import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// Editions of models of recency, frequency and monetary value: `/v1/rfm-models`.
struct RFMModelRoutes {
    let pool: PostgresPool
    let idempotency: Idempotency

    /// Models that may wait at a time: each reads the orders of everybody.
    private static let mostOpen = 10
    static let problemType = "invalid-rfm-model"

    func add(to router: ServiceRouter) {
        router.get("/v1/rfm-models", scope: .segmentsRead, touches: .definitions) { try await list($0) }
        router.post("/v1/rfm-models", scope: .segmentsWrite, touches: .changes) { try await create($0) }
        router.get("/v1/rfm-models/{id}", scope: .segmentsRead, touches: .definitions) { request in
            let id = try request.pathID("id", as: RFMModelID.self)
            guard let model = try await pool.withConnection({ try await RFMModelStore($0).get(id) }) else {
                throw Problem.noRFMModel
            }
            return .json(model.json)
        }
        router.delete("/v1/rfm-models/{id}", scope: .segmentsWrite, touches: .changes) {
            try await delete($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...100, default: 20)
        var before: RFMModelID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = RFMModelID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            before = id
        }
        let last = before
        let found = try await pool.withConnection {
            try await RFMModelStore($0).list(before: last, limit: limit + 1)
        }
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let text = try await request.body(maxBytes: WrittenDefinition.maxBytes)
        let (name, orders) = try Self.question(text)
        var answer = try await idempotency.run(request, content: text) { now, transaction in
            let id = RFMModelID(UUIDv7.make(at: now))
            let store = RFMModelStore(transaction)
            guard try await store.countOpen() < Self.mostOpen else {
                throw Problem.tooManyRequests(
                    retryAfterSeconds: 60,
                    "\(Self.mostOpen) models are being made or wait to be; try again when one is done")
            }
            try await store.insert(
                id, name: name, orders: orders.json[ComputedTrait.Kind.rfm.rawValue] ?? .null, at: now)
            try await transaction.notify(RFMModelStore.channel)
            guard let stored = try await store.get(id) else { throw Problem.noRFMModel }
            return Idempotency.Outcome(status: .accepted, body: stored.json)
        }
        if let id = try JSONParser.parse(answer.body)["modelId"]?.string {
            answer.headers[.location] = "/v1/rfm-models/\(id)"
        }
        return answer
    }

    private static func question(_ text: [UInt8]) throws(Problem) -> (name: String, orders: ComputedTrait) {
        let field = RuleField(try WrittenDefinition.json(text))
        do throws(RuleProblem) {
            guard var members = field.json.object else { throw field.problem("an object") }
            let name = try RFM.model(field.optional("model"))
            members["model"] = nil
            return (name, try RFMEdition.orders(RuleField(.object(members), at: field.path)))
        } catch { throw WrittenDefinition.problem([error], in: text, type: problemType) }
    }

    /// The edition in force stays until there is a later one: rules are written by it, and its number is never used twice.
    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: RFMModelID.self)
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = RFMModelStore(transaction)
            guard let model = try await store.get(id) else { throw Problem.noRFMModel }
            if let edition = model.edition,
                try await store.editions(of: [model.name])[model.name]?.json == edition
            {
                throw Problem.conflict(
                    "this edition of \(model.name) is in force; make a later one first",
                    type: "rfm-model-in-force")
            }
            try await store.delete(id)
        }
        return .empty()
    }
}

extension Problem {
    static var noRFMModel: Problem {
        .notFound(
            "there is no edition with this id; GET /v1/rfm-models lists them", type: "unknown-rfm-model")
    }
}
