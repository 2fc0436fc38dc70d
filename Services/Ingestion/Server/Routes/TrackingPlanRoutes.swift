import HTTPTypes
import IngestionDomain
import Models
import Postgres
import ServiceKit

/// `/v1/sources/{id}/tracking-plan`: what a source is allowed to send; and `/v1/sources/{id}/treatment`: what is done to
/// its events before they are stored.
struct TrackingPlanRoutes: Sendable {
    let pool: PostgresPool
    let store: SourceStore
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.get("/v1/sources/{id}/tracking-plan", scope: .sourcesRead, touches: .definitions) {
            try await get($0)
        }
        router.put("/v1/sources/{id}/tracking-plan", scope: .sourcesWrite, touches: .changes) {
            try await put($0)
        }
        router.delete("/v1/sources/{id}/tracking-plan", scope: .sourcesWrite, touches: .changes) {
            try await delete($0)
        }
        router.get("/v1/sources/{id}/treatment", scope: .sourcesRead, touches: .definitions) {
            try await getTreatment($0)
        }
        router.put("/v1/sources/{id}/treatment", scope: .sourcesWrite, touches: .changes) {
            try await putTreatment($0)
        }
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        guard try await store.exists(source) else { throw Problem.noSource }
        let version: Int? =
            try request.query("version") == nil
            ? nil : try request.query("version", in: 1...Int(Int32.max), default: 1)
        guard let stored = try await store.plan(of: source, version: version), let plan = stored.plan else {
            throw Problem.notFound("the source has no such tracking plan", type: "no-tracking-plan")
        }
        return Self.answer(plan, version: stored.version, createdAt: stored.createdAt)
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        let plan: TrackingPlan
        let json = try await request.json(maxBytes: 2 << 20)
        do throws(InvalidSchema) {
            plan = try TrackingPlan(json: json)
        } catch {
            throw Problem(
                status: .unprocessableContent, type: "invalid-tracking-plan",
                title: "The tracking plan has mistakes", detail: error.mistakes.first.map { "\($0)" },
                extensions: [
                    "errors": .array(
                        error.mistakes.prefix(100).map {
                            ["pointer": .string($0.pointer.description), "expected": .string($0.expected)]
                        })
                ])
        }
        let now = try await clock.now()
        let version = try await pool.transaction { transaction in
            let current = try await lock(source, request, in: transaction)
            try await store.putPlan(plan, version: current + 1, of: source, at: now, in: transaction)
            return current + 1
        }
        return Self.answer(plan, version: version, createdAt: now, status: version == 1 ? .created : .ok)
    }

    /// Takes the plan away: from now on the source may send what it likes. Its versions stay as evidence.
    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            let current = try await lock(source, request, in: transaction)
            if current > 0 {
                try await store.putPlan(nil, version: current + 1, of: source, at: now, in: transaction)
            }
        }
        return .empty()
    }

    private func lock(
        _ source: SourceID, _ request: ServiceRequest, in transaction: PostgresTransaction
    ) async throws -> Int {
        guard let current = try await store.lockPlanVersion(of: source, in: transaction) else {
            throw Problem.noSource
        }
        if let wanted = request.ifMatch,
            current == 0 || !(wanted.contains("*") || wanted.contains("\(current)"))
        {
            throw Problem.preconditionFailed(
                "the tracking plan's version is \(current); read it again before you change it")
        }
        if let unwanted = request.ifNoneMatch, current > 0,
            unwanted.contains("*") || unwanted.contains("\(current)")
        {
            throw Problem.preconditionFailed("the source has a tracking plan already, in version \(current)")
        }
        return current
    }

    private static func answer(
        _ plan: TrackingPlan, version: Int, createdAt: Instant, status: HTTPResponse.Status = .ok
    ) -> ServiceResponse {
        .json(
            [
                "version": .integer(Int64(version)), "createdAt": .string(createdAt.rfc3339),
                "plan": plan.json,
            ],
            status: status, headers: [.eTag: "\"\(version)\""])
    }

    private func getTreatment(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        guard let found = try await store.source(source) else { throw Problem.noSource }
        return .json(found.treatment.json)
    }

    private func putTreatment(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        let fields = try JSONFields(try await request.json(maxBytes: 4 << 10))
        try fields.allow(["ip", "vocabulary"])
        var treatment = SourceTreatment()
        if fields["ip"] != nil { treatment.ip = try fields.choice("ip") }
        if fields["vocabulary"] != nil { treatment.vocabulary = try fields.bool("vocabulary") }
        guard try await store.setTreatment(treatment, of: source) else { throw Problem.noSource }
        return .json(treatment.json)
    }
}

extension SourceTreatment {
    fileprivate var json: JSON { ["ip": .string(ip.rawValue), "vocabulary": .bool(vocabulary)] }
}
