import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit

/// `/v1/webhook-endpoints`: who is told of what becomes of profiles.
struct WebhookEndpointRoutes: Sendable {
    let access: WebhookAccess

    private static let mostEndpoints = 100
    private static let descriptionBytes = 500
    private static let overlap: Duration = .hours(24)
    private static let longestOverlap: Duration = .hours(7 * 24)

    func add(to router: ServiceRouter) {
        router.get("/v1/webhook-endpoints", scope: .webhooksRead, touches: .definitions) {
            try await list($0)
        }
        router.post("/v1/webhook-endpoints", scope: .webhooksWrite, touches: .changes) {
            try await create($0)
        }
        router.get("/v1/webhook-endpoints/{id}", scope: .webhooksRead, touches: .definitions) { request in
            answer(try await access.endpoint(request, in: access.pool))
        }
        router.patch("/v1/webhook-endpoints/{id}", scope: .webhooksWrite, touches: .changes) {
            try await change($0)
        }
        router.delete("/v1/webhook-endpoints/{id}", scope: .webhooksWrite, touches: .changes) { request in
            try await access.pool.transaction { transaction in
                let endpoint = try await access.lock(request, in: transaction)
                try await access.endpoints.delete(endpoint.id, in: transaction)
            }
            return .empty()
        }
        router.post("/v1/webhook-endpoints/{id}/rotate-secret", scope: .webhooksWrite, touches: .changes) {
            try await rotate($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...100, default: 50)
        var after: WebhookEndpointID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = WebhookEndpointID(cursor[0]) else { throw Problem.notACursor }
            after = id
        }
        let found = try await access.endpoints.list(after: after, limit: limit + 1, in: access.pool)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil
        return .page(page.map(\.json), nextCursor: next)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let now = try await access.clock.now()
        let id = WebhookEndpointID(UUIDv7.make(at: now))
        let secrets = WebhookSecrets.make()
        var endpoint = StoredEndpoint(
            id: id, url: "", description: "", eventTypes: WebhookEventType.subscribable,
            includesTraits: false, ordering: .endpoint,
            isEnabled: true, version: 1, secrets: try access.vault.seal(secrets, for: id), createdAt: now,
            updatedAt: now)
        let fields = try JSONFields(body)
        if fields["url"] == nil { throw fields.problem("url", expected: "a URL that begins with https://") }
        try await take(fields, into: &endpoint, for: request.caller)
        if fields["enabled"] == false { endpoint.disable(.byOperator, at: now) }
        endpoint.version = 1
        let created = endpoint
        let stored = try await access.once(request, body: body) { transaction in
            guard try await access.endpoints.count(in: transaction) < Self.mostEndpoints else {
                throw Problem.conflict(
                    "there may be at most \(Self.mostEndpoints) endpoints", type: "too-many-webhook-endpoints"
                )
            }
            try await access.endpoints.insert(created, in: transaction)
            return (WebhookKeyStore.Effect(endpointID: created.id), created)
        } repeat: { effect, transaction in
            guard let endpoint = try await access.endpoints.get(effect.endpointID, in: transaction) else {
                throw Problem.noWebhookEndpoint
            }
            return endpoint
        }
        return try answerWithSecret(
            stored, status: .created, headers: [.location: "/v1/webhook-endpoints/\(stored.id)"])
    }

    private func change(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 64 << 10))
        // Names are looked up before anything is locked.
        var draft = try await access.endpoint(request, in: access.pool)
        try await take(fields, into: &draft, for: request.caller)
        let wanted = draft
        let now = try await access.clock.now()
        let changed = try await access.pool.transaction { transaction in
            var endpoint = try await access.lock(request, in: transaction)
            if fields["url"] != nil { endpoint.url = wanted.url }
            if fields["description"] != nil { endpoint.description = wanted.description }
            if fields["eventTypes"] != nil { endpoint.eventTypes = wanted.eventTypes }
            if fields["includeTraits"] != nil { endpoint.includesTraits = wanted.includesTraits }
            if fields["ordering"] != nil { endpoint.ordering = wanted.ordering }
            try Self.checkTraits(of: endpoint, caller: request.caller)
            endpoint.version += 1
            endpoint.updatedAt = now
            switch fields["enabled"]?.bool {
            case false where endpoint.isEnabled:
                endpoint.disable(.byOperator, at: access.machine())
                endpoint.version -= 1
            case true where !endpoint.isEnabled:
                endpoint.enable()
                try await DeliveryStore().hurry(endpoint.id, at: access.machine(), in: transaction)
            default: break
            }
            try await access.endpoints.update(endpoint, in: transaction)
            return try await access.endpoints.shown(endpoint, in: transaction)
        }
        return answer(changed)
    }

    private func rotate(_ request: ServiceRequest) async throws -> ServiceResponse {
        let bytes = try await request.body(maxBytes: 64 << 10)
        let body: JSON = bytes.isEmpty ? [:] : try await request.parsed(bytes)
        let fields = try JSONFields(body)
        try fields.allow(["overlap"])
        let overlap = try Self.overlap(fields)
        let now = try await access.clock.now()
        let stored = try await access.once(request, body: body) { transaction in
            var endpoint = try await access.lock(request, in: transaction)
            let secrets = try access.vault.open(endpoint.secrets, of: endpoint.id).rotated()
            endpoint.secrets = try access.vault.seal(secrets, for: endpoint.id)
            endpoint.previousSecretUntil = access.machine() + overlap
            endpoint.version += 1
            endpoint.updatedAt = now
            try await access.endpoints.update(endpoint, in: transaction)
            let shown = try await access.endpoints.shown(endpoint, in: transaction)
            return (WebhookKeyStore.Effect(endpointID: endpoint.id), shown)
        } repeat: { _, transaction in
            try await access.endpoint(request, in: transaction)
        }
        return try answerWithSecret(stored)
    }

    // MARK: Members

    /// Takes what the fields say over into an endpoint.
    private func take(
        _ fields: JSONFields, into endpoint: inout StoredEndpoint, for caller: Caller
    ) async throws {
        try fields.allow(["url", "description", "eventTypes", "includeTraits", "ordering", "enabled"])
        if fields["description"] != nil {
            let description = try fields.string("description")
            guard description.utf8.count <= Self.descriptionBytes, !description.contains("\0") else {
                throw fields.problem(
                    "description", expected: "a string of at most \(Self.descriptionBytes) bytes")
            }
            endpoint.description = description
        }
        if fields["eventTypes"] != nil { endpoint.eventTypes = try Self.eventTypes(fields) }
        if fields["includeTraits"] != nil { endpoint.includesTraits = try fields.bool("includeTraits") }
        if fields["ordering"] != nil {
            guard let ordering = WebhookOrdering(rawValue: try fields.string("ordering")) else {
                throw fields.problem("ordering", expected: "`endpoint` or `profile`")
            }
            endpoint.ordering = ordering
        }
        if fields["enabled"] != nil { _ = try fields.bool("enabled") }
        try Self.checkTraits(of: endpoint, caller: caller)
        if fields["url"] != nil { endpoint.url = try await url(fields) }
    }

    /// Whoever has the values of traits sent somewhere could as well read them.
    private static func checkTraits(of endpoint: StoredEndpoint, caller: Caller) throws(Problem) {
        guard !endpoint.includesTraits || caller.may(.profilesRead) else {
            throw .forbidden("an endpoint with `includeTraits` also needs the scope `profiles:read`")
        }
    }

    private static func eventTypes(_ fields: JSONFields) throws(DecodingProblem) -> [WebhookEventType] {
        let texts = try fields.array("eventTypes")
        let types = texts.compactMap { $0.string.flatMap(WebhookEventType.init) }.filter { $0 != .test }
        guard types.count == texts.count, !types.isEmpty, Set(types).count == types.count else {
            let names = WebhookEventType.subscribable.map(\.rawValue).joined(separator: ", ")
            throw fields.problem("eventTypes", expected: "an array of some of \(names), each once")
        }
        return types
    }

    private static func overlap(_ fields: JSONFields) throws(DecodingProblem) -> Duration {
        guard let text = try fields.optionalString("overlap") else { return overlap }
        guard let duration = Duration(text: text), duration <= longestOverlap else {
            throw fields.problem("overlap", expected: "a duration of at most 7d, such as 24h or 0s")
        }
        return duration
    }

    /// A URL that may be called, as far as one can tell now; it is checked again at each attempt.
    private func url(_ fields: JSONFields) async throws -> String {
        let text = try fields.string("url")
        let url: OutwardURL
        do { url = try OutwardURL(text) } catch {
            throw Problem.badRequest(
                "`url` can't be called: \(error)", type: "invalid-webhook-url",
                errors: [["path": "url", "expected": .string("\(error)")]])
        }
        do {
            _ = try await access.client.addresses(of: url)
        } catch {
            throw Problem.badRequest(
                "`url` can't be called: \(error.explanation)", type: "forbidden-webhook-url",
                errors: [["path": "url", "expected": .string(error.explanation)]])
        }
        return url.description
    }

    // MARK: Answers

    private func answer(_ endpoint: StoredEndpoint) -> ServiceResponse {
        .json(endpoint.json, headers: [.eTag: "\"\(endpoint.version)\""])
    }

    private func answerWithSecret(
        _ endpoint: StoredEndpoint, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) throws -> ServiceResponse {
        var members = endpoint.json.object ?? [:]
        members["secret"] = .string(try access.vault.open(endpoint.secrets, of: endpoint.id).current)
        var headers = headers
        headers[.eTag] = "\"\(endpoint.version)\""
        headers[.cacheControl] = "no-store"
        return .json(.object(members), status: status, headers: headers)
    }
}

extension OutwardClient.Failure {
    /// What is wrong with a URL, without a word of which addresses it leads to.
    fileprivate var explanation: String {
        switch self {
        case .insecure: "it must begin with https://"
        case .forbiddenAddress: "its host must lead to public addresses alone"
        default: "its host must lead to an address"
        }
    }
}

extension StoredEndpoint {
    /// The endpoint as the API shows it, without its secrets.
    var json: JSON {
        [
            "endpointId": .string(id.description), "url": .string(url), "description": .string(description),
            "eventTypes": .array(eventTypes.map { .string($0.rawValue) }),
            "includeTraits": .bool(includesTraits), "ordering": .string(ordering.rawValue),
            "enabled": .bool(isEnabled), "disabledReason": disabling.map { .string($0.rawValue) } ?? .null,
            "disabledAt": disabledAt.json, "version": .integer(Int64(version)),
            "previousSecretUntil": previousSecretUntil.json, "createdAt": .string(createdAt.rfc3339),
            "updatedAt": .string(updatedAt.rfc3339),
            "health": [
                "failures": .integer(Int64(health.failures)), "failingSince": health.failingSince.json,
                "pausedUntil": health.pausedUntil.json, "lastSuccessAt": lastSuccessAt.json,
                "pending": .integer(Int64(pending)), "oldestPendingAt": oldestPendingAt.json,
            ],
        ]
    }
}

extension Instant? {
    fileprivate var json: JSON { map { .string($0.rfc3339) } ?? .null }
}

extension Problem {
    static var notACursor: Problem {
        .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
    }
}

extension ServiceRequest {
    /// A body that was read already.
    fileprivate func parsed(_ bytes: [UInt8]) async throws -> JSON {
        try requireMediaType(["application/json"])
        return try JSONParser.parse(bytes[...])
    }
}
