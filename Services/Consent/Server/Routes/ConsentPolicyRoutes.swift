import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// `/v1/consent-policy`: what data may be used for, and what needs which purposes.
struct ConsentPolicyRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.get("/v1/consent-policy", scope: .consentRead, touches: .definitions) { _ in
            guard let stored = try await ConsentPolicyStore.get(in: pool) else { throw Self.unknown }
            return try Self.answer(stored)
        }
        router.put("/v1/consent-policy", scope: .consentWrite, touches: .changes) { try await put($0) }
        router.get("/v1/consent-policy/versions", scope: .consentRead, touches: .definitions) {
            try await list($0)
        }
        router.get("/v1/consent-policy/versions/{version}", scope: .consentRead, touches: .definitions) {
            request in
            guard let version = Int64(try request.path("version")),
                let stored = try await ConsentPolicyStore.get(version, in: pool)
            else { throw Self.unknown }
            return try Self.answer(stored)
        }
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let bytes = try await request.body(maxBytes: ConsentPolicyText.maxBytes)
        let policy = try ConsentPolicyText.read(bytes)
        let now = try await clock.now()
        let stored = try await pool.transaction { transaction in
            try await ConsentPolicyStore.lock(in: transaction)
            let before = try await ConsentPolicyStore.get(in: transaction)
            let version = before?.version ?? 0
            if let wanted = request.ifMatch, !wanted.contains("*"), !wanted.contains("\(version)") {
                throw Problem.preconditionFailed(
                    "read the policy again; `If-Match` must name its ETag, which is now \"\(version)\"")
            }
            let source = String(decoding: bytes, as: UTF8.self)
            if let before, before.source == source { return before }
            return try await ConsentPolicyStore.add(
                policy, source: source, after: version, by: request.caller.label, at: now, in: transaction)
        }
        return try Self.answer(stored)
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let cursor = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let before = cursor.flatMap { Int64($0) }
        if cursor != nil, before == nil {
            throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        let found = try await ConsentPolicyStore.page(before: before, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map { stored in
                [
                    "version": .integer(stored.version), "createdAt": .string(stored.createdAt.rfc3339),
                    "createdBy": .string(stored.createdBy),
                ]
            },
            nextCursor: found.count > limit ? page.last.map { Cursor.encode(["\($0.version)"]) } : nil)
    }

    private static func answer(_ stored: ConsentPolicyStore.Stored) throws -> ServiceResponse {
        .json(
            [
                "version": .integer(stored.version), "policy": try JSONParser.parse(stored.body),
                "source": .string(stored.source), "createdAt": .string(stored.createdAt.rfc3339),
                "createdBy": .string(stored.createdBy),
            ], headers: [.eTag: "\"\(stored.version)\""])
    }

    private static let unknown = Problem.notFound(
        "no such version; GET /v1/consent-policy/versions lists what there is", type: "unknown-version")
}
