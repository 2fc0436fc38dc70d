import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// Editions of models of a population: `/v1/rfm-models` and `/v1/percentile-models`.
struct PopulationModelRoutes {
    let kind: PopulationModelKind
    let pool: PostgresPool
    let idempotency: Idempotency

    /// Models that may wait at a time, of all kinds: each reads the events of everybody.
    private static let mostOpen = 10
    private var problemType: String { "invalid-\(kind.rawValue)-model" }
    private var path: String { "/v1/\(kind.rawValue)-models" }

    func add(to router: ServiceRouter) {
        router.get(path, scope: .segmentsRead, touches: .definitions) { try await list($0) }
        router.post(path, scope: .segmentsWrite, touches: .changes) { try await create($0) }
        router.get("\(path)/{id}", scope: .segmentsRead, touches: .definitions) { request in
            let id = try request.pathID("id", as: PopulationModelID.self)
            guard
                let model = try await pool.withConnection({ try await PopulationModelStore($0).get(id, kind) }
                )
            else {
                throw Problem.noModel(kind)
            }
            return .json(model.json)
        }
        router.delete("\(path)/{id}", scope: .segmentsWrite, touches: .changes) {
            try await delete($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...100, default: 20)
        var before: PopulationModelID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = PopulationModelID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            before = id
        }
        let last = before
        let found = try await pool.withConnection {
            try await PopulationModelStore($0).list(kind, before: last, limit: limit + 1)
        }
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let text = try await request.body(maxBytes: WrittenDefinition.maxBytes)
        let (name, asked) = try question(text)
        var answer = try await idempotency.run(request, content: text) { now, transaction in
            let id = PopulationModelID(UUIDv7.make(at: now))
            let store = PopulationModelStore(transaction)
            guard try await store.countOpen() < Self.mostOpen else {
                throw Problem.tooManyRequests(
                    retryAfterSeconds: 60,
                    "\(Self.mostOpen) models are being made or wait to be; try again when one is done")
            }
            try await store.insert(id, kind, name: name, orders: asked, at: now)
            try await transaction.notify(PopulationModelStore.channel)
            guard let stored = try await store.get(id, kind) else { throw Problem.noModel(kind) }
            return Idempotency.Outcome(status: .accepted, body: stored.json)
        }
        if let id = try JSONParser.parse(answer.body)["modelId"]?.string {
            answer.headers[.location] = "\(path)/\(id)"
        }
        return answer
    }

    private func question(_ text: [UInt8]) throws(Problem) -> (name: String, asked: JSON) {
        let field = RuleField(try WrittenDefinition.json(text))
        do throws(RuleProblem) {
            guard var members = field.json.object else { throw field.problem("an object") }
            let name = try RFM.model(field.optional("model"))
            switch kind {
            case .rfm:
                members["model"] = nil
                let orders = try RFMEdition.orders(RuleField(.object(members), at: field.path))
                return (name, orders.json[ComputedTrait.Kind.rfm.rawValue] ?? .null)
            case .percentile:
                try field.allow(["model", "measure"])
                return (name, try PercentileMeasure(try field.required("measure", "what is compared")).json)
            }
        } catch { throw WrittenDefinition.problem([error], in: text, type: problemType) }
    }

    /// The edition in force stays until there is a later one: rules are written by it, and its number is never used twice.
    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PopulationModelID.self)
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = PopulationModelStore(transaction)
            guard let model = try await store.get(id, kind) else { throw Problem.noModel(kind) }
            if let edition = model.edition,
                try await store.latest(kind, of: [model.name])[model.name] == edition
            {
                throw Problem.conflict(
                    "this edition of \(model.name) is in force; make a later one first",
                    type: "\(kind.rawValue)-model-in-force")
            }
            try await store.delete(id)
        }
        return .empty()
    }
}

extension Problem {
    static func noModel(_ kind: PopulationModelKind) -> Problem {
        .notFound(
            "there is no edition with this id; GET /v1/\(kind.rawValue)-models lists them",
            type: "unknown-\(kind.rawValue)-model")
    }
}
