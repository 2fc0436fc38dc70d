import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/privacy-requests`: taking requests in, what is due, and where each stands.
struct PrivacyRequestRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let desk: PrivacyDesk
    let intake: PrivacyIntake
    let idempotency: Idempotency

    func add(to router: ServiceRouter) {
        router.post("/v1/privacy-requests", scope: .privacyWrite, touches: .people) { try await create($0) }
        router.get("/v1/privacy-requests", scope: .privacyRead, touches: .people) { try await list($0) }
        router.get("/v1/privacy-requests/{id}", scope: .privacyRead, touches: .people) { try await get($0) }
        router.put("/v1/privacy-requests/{id}/results/{service}", access: .service) { try await report($0) }
        router.put("/v1/privacy-requests/{id}/results/{service}/parts/{part}", access: .service) {
            try await takePart($0)
        }
        router.put("/v1/privacy-requests/{id}/recipients/{event}", access: .service) {
            try await settle($0)
        }
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let form = try PrivacyForm(body, now: try await clock.now())
        let mark = try Idempotency.key(of: request).map { key in
            desk.profiles.key.mark(of: "privacy request by \(request.caller.label) \(key)")
        }
        do {
            return try await create(form, body, mark: mark, for: request)
        } catch let problem as Problem where problem.status == .notFound || problem.status == .gone {
            // The person has been erased since, by this very request perhaps, and the answer that was kept with them.
            guard let mark, let made = try await PrivacyRequestStore.made(by: mark, in: pool),
                made.kind == form.kind
            else { throw problem }
            return .json(try await desk.view(of: made.id, in: pool))
        }
    }

    private func create(
        _ form: PrivacyForm, _ body: JSON, mark: String?, for request: ServiceRequest
    ) async throws -> ServiceResponse {
        guard let wish = try await intake.wishes(of: [form], at: try await clock.now()).first else {
            throw SubjectResolver.unknown
        }
        let asked = try wish.get()
        return try await idempotency.run(request, body: body) { now, transaction in
            let verdict = try await desk.receive(
                [asked],
                on: .init(caller: request.caller.label, now: now, traceparent: request.traceparent),
                in: transaction
            ).first
            switch verdict {
            case .accepted(let made):
                if let mark { try await PrivacyRequestStore.note(call: mark, of: made.id, in: transaction) }
                return Idempotency.Outcome(
                    status: made.lifecycle.state == .completed ? .created : .accepted,
                    body: try await desk.view(of: made.id, in: transaction), profileID: made.profileID)
            case .duplicate(let made):
                return Idempotency.Outcome(
                    status: .ok, body: try await desk.view(of: made.id, in: transaction),
                    profileID: made.profileID)
            case .refused(let problem): throw problem
            case nil: throw SubjectResolver.unknown
            }
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let cursor = try Cursor.decode(request.query("cursor"), count: 2)
        let after = cursor.flatMap { parts in
            Int64(parts[0]).flatMap { due in
                PrivacyRequestID(parts[1]).map { (dueAt: Instant(milliseconds: due), id: $0) }
            }
        }
        if cursor != nil, after == nil {
            throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        let found = try await PrivacyRequestStore.page(
            try filter(request), after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map { $0.json() },
            nextCursor: found.count > limit
                ? page.last.map {
                    Cursor.encode(["\($0.lifecycle.dueAt.milliseconds)", $0.id.description])
                } : nil)
    }

    private func filter(_ request: ServiceRequest) throws -> PrivacyRequestStore.Filter {
        var filter = PrivacyRequestStore.Filter()
        filter.status = try choice("status", in: request)
        filter.kind = try choice("type", in: request)
        filter.assignee = try request.query("assignee")
        filter.dueBefore = try request.queryInstant("dueBefore")
        if let text = try request.query("state") {
            // What is still to be answered.
            filter.states =
                text == "open"
                ? PrivacyRequestLifecycle.State.allCases.filter(\.isOpen)
                : [try choice("state", in: request)].compactMap { $0 }
        }
        return filter
    }

    private func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, in request: ServiceRequest
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = try request.query(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let known = Choice.allCases.map(\.rawValue) + (name == "state" ? ["open"] : [])
            throw Problem.badRequest("`\(name)` must be one of \(known.joined(separator: ", "))")
        }
        return choice
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        return .json(try await desk.view(of: id, in: pool))
    }

    /// What a service found may be large.
    private static let resultLimit = 32 << 20

    private func report(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let service = try Self.service(request)
        let fields = try JSONFields(try await request.json(maxBytes: Self.resultLimit))
        try fields.allow(["status", "result", "error", "completedAt", "parts"])
        let status = try fields.choice("status", as: PrivacyResultStatus.self)
        let error = fields["error"] == nil ? nil : try fields.text("error", limit: 4_096)
        let reportedAt = try fields.optionalInstant("completedAt")
        let parts = fields["parts"] == nil ? 0 : try fields.integer("parts")
        guard (0...Int64(PrivacyPartStore.most)).contains(parts) else {
            throw fields.problem("parts", expected: "the number of parts, at most \(PrivacyPartStore.most)")
        }
        let now = try await clock.now()
        let (stored, results) = try await pool.transaction { transaction in
            try await desk.take(
                PrivacyResult(
                    service: service, status: status, result: fields["result"], error: error,
                    reportedAt: reportedAt ?? now, parts: Int(parts)), on: id,
                on: .init(caller: request.caller.label, now: now, traceparent: request.traceparent),
                in: transaction)
        }
        return .json(stored.json(results: results))
    }

    private static func service(_ request: ServiceRequest) throws -> ServiceName {
        guard let service = ServiceName(rawValue: try request.path("service")),
            PrivacyProgress.expected.contains(service)
        else {
            throw Problem.notFound("no such service reports on privacy requests", type: "unknown-service")
        }
        if case .service(let caller) = request.caller, caller != service {
            throw Problem.forbidden("a service reports for itself alone")
        }
        return service
    }

    /// A part of what a service has found, where it is much. The report says how many there are.
    private func takePart(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let service = try Self.service(request)
        guard let part = Int(try request.path("part")), (0..<PrivacyPartStore.most).contains(part) else {
            throw Problem.badRequest("`part` in the path must be 0 to \(PrivacyPartStore.most - 1)")
        }
        let fields = try JSONFields(try await request.json(maxBytes: Self.resultLimit))
        try fields.allow(["member", "items"])
        let member = try fields.text("member", expected: labelRule, Purpose.isLabel)
        let items = try fields.array("items")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            try await desk.take(
                part: part, of: service, for: id, member: member, items: items, at: now, in: transaction)
        }
        return .empty()
    }

    /// What somebody outside has answered who was told of an erasure. Identity tells it.
    private func settle(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let event = try request.pathID("event", as: TypedID<PrivacyRequestTag>.self).uuid
        guard request.caller == .service(.identity) else {
            throw Problem.forbidden("identity alone tells others of an erasure")
        }
        let fields = try JSONFields(try await request.json(maxBytes: 64 << 10))
        try fields.allow(["endpointId", "profileId", "status", "at"])
        let recipient = PrivacyRecipient(
            eventID: event, endpointID: try fields.id("endpointId", as: TypedID<PrivacyRequestTag>.self).uuid,
            profileID: try fields.optionalID("profileId"), description: "",
            status: try fields.choice("status"), at: try fields.instant("at"))
        return try await pool.transaction { transaction in
            guard try await PrivacyRequestStore.lock(id, in: transaction) != nil else {
                throw PrivacyDesk.unknown
            }
            try await PrivacyRecipientStore.settle(recipient, of: id, in: transaction)
            return .empty()
        }
    }
}
