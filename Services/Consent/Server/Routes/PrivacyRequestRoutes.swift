import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// `/v1/privacy-requests`: access and erasure, carried out by every service.
struct PrivacyRequestRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let subjects: SubjectResolver
    let idempotency: Idempotency
    private let requests = StreamWriter(.privacyRequests)
    private var vault: Vault { subjects.profiles.vault }

    init(
        pool: PostgresPool, clock: ServiceClock, subjects: SubjectResolver, idempotency: Idempotency
    ) {
        self.pool = pool
        self.clock = clock
        self.subjects = subjects
        self.idempotency = idempotency
    }

    func add(to router: ServiceRouter) {
        router.post("/v1/privacy-requests", scope: .privacyWrite) { try await create($0) }
        router.get("/v1/privacy-requests", scope: .privacyRead) { try await list($0) }
        router.get("/v1/privacy-requests/{id}", scope: .privacyRead) { try await get($0) }
        router.get("/v1/privacy-requests/{id}/bundle", scope: .privacyRead) { try await bundle($0) }
        router.put("/v1/privacy-requests/{id}/results/{service}", access: .service) { try await report($0) }
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(["type", "subject"])
        let type = try fields.choice("type", as: PrivacyRequest.Kind.self)
        let profileID = try await subjects.lookUp(try Subject(fields))
        return try await idempotency.run(request, body: body) { now, transaction in
            guard let person = try await subjects.profiles.person(profileID, in: transaction) else {
                throw SubjectResolver.unknown
            }
            guard person.erasedAt == nil else { throw SubjectResolver.erased }
            let canonical = person.profileID
            let made = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.make(at: now)), type: type, profileID: canonical,
                profileIDs: person.memberIDs, requestedAt: now)
            try await PrivacyRequestStore.create(made, by: request.caller.label, in: transaction)
            try await requests.append(
                [
                    NewRecord(
                        shard: Shard(canonical), key: canonical.description, body: made.json,
                        traceparent: request.traceparent)
                ], at: now, in: transaction)
            let results = try await PrivacyRequestStore.results(of: made.id, vault: vault, in: transaction)
            let stored = StoredPrivacyRequest(request: made, status: .pending, completedAt: nil)
            return Idempotency.Outcome(
                status: .accepted, body: stored.json(results: results), profileID: canonical)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        var status: PrivacyResultStatus?
        if let text = try request.query("status") {
            guard let known = PrivacyResultStatus(rawValue: text) else {
                throw Problem.badRequest("`status` must be pending, completed or failed")
            }
            status = known
        }
        let cursor = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let before = cursor.flatMap { PrivacyRequestID($0) }
        if cursor != nil, before == nil {
            throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        let found = try await PrivacyRequestStore.page(
            status: status, before: before, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map { $0.json() },
            nextCursor: found.count > limit
                ? page.last.map { Cursor.encode([$0.request.id.description]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let (stored, results) = try await read(request)
        return .json(stored.json(results: results))
    }

    /// Everything that the services found, once all have reported.
    private func bundle(_ request: ServiceRequest) async throws -> ServiceResponse {
        let (stored, results) = try await read(request)
        guard stored.request.type == .access else {
            throw Problem.notFound("only a request of access has a bundle", type: "no-bundle")
        }
        guard stored.status != .pending else {
            let missing = results.filter { $0.status == .pending }.map(\.service.rawValue)
            throw Problem.conflict(
                "not all services have reported yet; missing: \(missing.joined(separator: ", "))",
                type: "privacy-request-pending")
        }
        let findings = Dictionary(
            results.map { ($0.service.rawValue, $0.result ?? .null) }, uniquingKeysWith: { first, _ in first }
        )
        return .json([
            "request": stored.json(results: results), "services": .object(findings),
        ])
    }

    private func read(
        _ request: ServiceRequest
    ) async throws -> (StoredPrivacyRequest, [PrivacyResult]) {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let stored = try await PrivacyRequestStore.get(id, in: pool) else { throw Self.unknown }
        return (stored, try await PrivacyRequestStore.results(of: id, vault: vault, in: pool))
    }

    /// What a service found may be large.
    private static let resultLimit = 32 << 20

    private func report(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        guard let service = ServiceName(rawValue: try request.path("service")),
            PrivacyProgress.expected.contains(service)
        else {
            throw Problem.notFound("no such service reports on privacy requests", type: "unknown-service")
        }
        if case .service(let caller) = request.caller, caller != service {
            throw Problem.forbidden("a service reports for itself alone")
        }
        let fields = try JSONFields(try await request.json(maxBytes: Self.resultLimit))
        try fields.allow(["status", "result", "error", "completedAt"])
        let status = try fields.choice("status", as: PrivacyResultStatus.self)
        let error = fields["error"] == nil ? nil : try fields.text("error", limit: 4_096)
        let reportedAt = try fields.optionalInstant("completedAt")
        let now = try await clock.now()
        let (stored, results) = try await pool.transaction { transaction in
            guard let stored = try await PrivacyRequestStore.lock(id, in: transaction) else {
                throw Self.unknown
            }
            return try await take(
                PrivacyResult(
                    service: service, status: status, result: fields["result"], error: error,
                    reportedAt: reportedAt ?? now),
                on: stored, at: now, in: transaction)
        }
        return .json(stored.json(results: results))
    }

    /// Writes a report, unless the service has completed before, and works out where the request stands.
    private func take(
        _ report: PrivacyResult, on stored: StoredPrivacyRequest, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> (StoredPrivacyRequest, [PrivacyResult]) {
        let id = stored.request.id
        let before = try await PrivacyRequestStore.results(of: id, vault: vault, in: transaction)
        let stood = before.first { $0.service == report.service }?.status ?? .pending
        guard stood != .completed, report.status != .pending else { return (stored, before) }
        // Reports may overtake an erasure of the same person: what it found must not outlive it.
        var isErased = false
        if stored.request.type == .access {
            isErased = try await PrivacyRequestStore.isErasureAsked(
                of: stored.request.profileIDs, in: transaction)
        }
        try await PrivacyRequestStore.report(
            PrivacyResult(
                service: report.service, status: stood.after(report.status),
                result: isErased ? nil : report.result, error: report.error, reportedAt: report.reportedAt),
            of: id, at: now, vault: vault, in: transaction)
        let after = try await PrivacyRequestStore.results(of: id, vault: vault, in: transaction)
        let status = PrivacyProgress.status(after.map(\.status))
        let completedAt = status == .pending ? nil : now
        try await PrivacyRequestStore.setStatus(status, completedAt: completedAt, of: id, in: transaction)
        return (
            StoredPrivacyRequest(request: stored.request, status: status, completedAt: completedAt), after
        )
    }

    private static let unknown = Problem.notFound("no such privacy request", type: "unknown-privacy-request")
}
