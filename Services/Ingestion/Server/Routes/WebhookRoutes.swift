import Foundation
import HTTPTypes
import IngestionDomain
import Models
import Sealing
import ServiceKit

/// `/v1/webhooks`: the places that other systems send to, each with its mapping and its secrets.
struct WebhookRoutes: Sendable {
    let store: WebhookStore
    let vault: WebhookVault
    let directory: WebhookDirectory
    let clock: ServiceClock
    let publicURL: String?

    private static let nameBytes = 200
    private static let secretBytes = 1024
    /// More than one while they are being changed.
    private static let secretCount = 10

    func add(to router: ServiceRouter) {
        router.get("/v1/webhooks", scope: .sourcesRead, touches: .definitions) { try await list($0) }
        router.post("/v1/webhooks", scope: .sourcesWrite, touches: .changes) { try await create($0) }
        router.get("/v1/webhooks/{id}", scope: .sourcesRead, touches: .definitions) { try await get($0) }
        router.put("/v1/webhooks/{id}", scope: .sourcesWrite, touches: .changes) { try await change($0) }
        router.delete("/v1/webhooks/{id}", scope: .sourcesWrite, touches: .changes) { try await disable($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        var after: WebhookID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = WebhookID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = id
        }
        let found = try await store.list(after: after, limit: limit + 1)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil
        return .page(page.map { json($0) }, nextCursor: next)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json())
        try fields.allow(["name", "sourceId", "mapping", "mappingYAML", "secrets"])
        let (name, sourceID) = (try Self.name(fields), try fields.id("sourceId", as: SourceID.self))
        let secrets = try Self.secrets(fields)
        guard let mapping = try MappingText.ofWebhook.read(fields) else {
            throw fields.problem("mapping", expected: "the mapping, here or as YAML in `mappingYAML`")
        }
        let now = try await clock.now()
        let id = WebhookID(UUIDv7.make(at: now))
        let webhook = StoredWebhook(
            id: id, sourceID: sourceID, name: name, mapping: mapping, version: 1,
            secrets: try vault.seal(secrets, for: id), createdAt: now)
        guard try await store.create(webhook) else { throw Problem.noSource }
        return answer(webhook, status: .created, headers: [.location: "/v1/webhooks/\(id)"])
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let webhook = try await store.get(try request.pathID("id")) else { throw Problem.noWebhook }
        return answer(webhook)
    }

    private func change(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: WebhookID = try request.pathID("id")
        let fields = try JSONFields(try await request.json())
        try fields.allow(["name", "mapping", "mappingYAML", "secrets"])
        guard var webhook = try await store.get(id) else { throw Problem.noWebhook }
        guard webhook.disabledAt == nil else {
            throw Problem.conflict(
                "the webhook is disabled for good; make a new one", type: "webhook-disabled")
        }
        if let wanted = request.ifMatch, !wanted.contains("*"), !wanted.contains(String(webhook.version)) {
            throw Problem.preconditionFailed("read the webhook again; `If-Match` must name its ETag")
        }
        if fields["name"] != nil { webhook.name = try Self.name(fields) }
        if fields["secrets"] != nil { webhook.secrets = try vault.seal(try Self.secrets(fields), for: id) }
        if let mapping = try MappingText.ofWebhook.read(fields) { webhook.mapping = mapping }
        guard try await store.change(webhook) else {
            throw Problem.conflict("the webhook was changed at the same time; read it again")
        }
        webhook.version += 1
        await directory.forget(id)
        return answer(webhook)
    }

    private func disable(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: WebhookID = try request.pathID("id")
        guard try await store.disable(id, at: try await clock.now()) else { throw Problem.noWebhook }
        await directory.forget(id)
        return .empty()
    }

    // MARK: Members

    private static func name(_ fields: JSONFields) throws -> String {
        let name = try fields.string("name")
        guard !name.isEmpty, name.utf8.count <= nameBytes else {
            throw fields.problem("name", expected: "a string of 1 to \(nameBytes) bytes")
        }
        return name
    }

    /// What is wrong is told without a word of what it was.
    private static func secrets(_ fields: JSONFields) throws -> [String] {
        let secrets = try fields.array("secrets").compactMap(\.string)
        guard try secrets.count == fields.array("secrets").count, (1...secretCount).contains(secrets.count),
            secrets.allSatisfy({ (1...secretBytes).contains($0.utf8.count) })
        else {
            throw fields.problem(
                "secrets", expected: "an array of 1 to \(secretCount) strings of 1 to \(secretBytes) bytes")
        }
        return secrets
    }

    // MARK: Answers

    private func answer(
        _ webhook: StoredWebhook, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> ServiceResponse {
        var members = json(webhook).object ?? [:]
        members["mapping"] = webhook.mapping
        var headers = headers
        headers[.eTag] = "\"\(webhook.version)\""
        return .json(.object(members), status: status, headers: headers)
    }

    private func json(_ webhook: StoredWebhook) -> JSON {
        let path = "/v1/hooks/\(webhook.id)"
        return [
            "webhookId": .string(webhook.id.description), "sourceId": .string(webhook.sourceID.description),
            "name": .string(webhook.name), "provider": webhook.mapping["provider"] ?? .null,
            "version": .integer(Int64(webhook.version)), "path": .string(path),
            "url": publicURL.map { .string($0 + path) } ?? .null,
            "createdAt": .string(webhook.createdAt.rfc3339),
            "disabledAt": webhook.disabledAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}

extension Problem {
    static let noWebhook = Problem.notFound(
        "there is no such webhook; GET /v1/webhooks lists them", type: "unknown-webhook")
}
