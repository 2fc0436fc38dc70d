import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/opt-in-forms`: the forms that people can ask for something by.
struct OptInFormRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let policies: PolicyReader

    func add(to router: ServiceRouter) {
        router.get("/v1/opt-in-forms", scope: .consentRead, touches: .definitions) { try await list($0) }
        router.get("/v1/opt-in-forms/{id}", scope: .consentRead, touches: .definitions) { request in
            guard let stored = try await OptInFormStore.get(try Self.id(request), in: pool) else {
                throw Self.unknown
            }
            return .json(stored.json, headers: [.eTag: stored.etag])
        }
        router.delete("/v1/opt-in-forms/{id}", scope: .consentWrite, touches: .changes) {
            try await delete($0)
        }
        router.put("/v1/opt-in-forms/{id}", scope: .consentWrite, touches: .changes) { try await put($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let after = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let found = try await OptInFormStore.page(after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json), nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.id]) } : nil
        )
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try Self.id(request)
        let form = try OptInForm(try await request.json(maxBytes: 64 << 10))
        let now = try await clock.now()
        let (stored, created) = try await pool.transaction { transaction in
            let policy = try await policies.current(in: transaction).policy
            guard form.purposes.allSatisfy({ policy.purposes[$0]?.legalBasis == .consent }) else {
                throw Problem.badRequest(
                    "each of `purposes` must be one of the policy with the legal basis consent",
                    type: "unknown-purpose")
            }
            let version = try await OptInFormStore.lockVersion(id, in: transaction)
            try Self.check(request, version)
            return (try await OptInFormStore.put(id, form, at: now, in: transaction), version == nil)
        }
        return .json(stored.json, status: created ? .created : .ok, headers: [.eTag: stored.etag])
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try Self.id(request)
        let now = try await clock.now()
        try await pool.transaction { transaction in
            guard let version = try await OptInFormStore.lockVersion(id, in: transaction) else {
                throw Self.unknown
            }
            try Self.check(request, version)
            try await OptInFormStore.delete(id, at: now, in: transaction)
        }
        return .empty()
    }

    private static func check(_ request: ServiceRequest, _ version: Int64?) throws(Problem) {
        guard let wanted = request.ifMatch else { return }
        guard let version, wanted.contains("*") || wanted.contains("\(version)") else {
            throw .preconditionFailed("the form has another version now; read it again")
        }
    }

    static func id(_ request: ServiceRequest) throws(Problem) -> String {
        let id = try request.path("id")
        guard Purpose.isID(id) else { throw .badRequest("`id` in the path must be \(purposeIDRule)") }
        return id
    }

    static let unknown = Problem.notFound(
        "no such form; GET /v1/opt-in-forms lists what there is", type: "unknown-form")
}
