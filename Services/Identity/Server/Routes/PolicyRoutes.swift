import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit

/// What counts as an identifier: reading and replacing the policy.
struct PolicyRoutes {
    let policies: PolicyRegistry
    let pool: PostgresPool
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.get("/v1/identity-policy", scope: .profilesRead) { _ in
            Self.answer(try await PolicyStore.latest(in: pool))
        }
        router.put("/v1/identity-policy", scope: .profilesWrite) { try await put($0) }
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let bytes = try await request.body(maxBytes: PolicyReader.maxBytes)
        _ = try Self.read(bytes)
        let source = String(decoding: bytes, as: UTF8.self)
        let now = try await clock.now()
        let stored = try await pool.transaction { transaction in
            try await policies.lockAlone(in: transaction)
            let before = try await PolicyStore.latest(in: transaction)
            if let wanted = request.ifMatch, !wanted.contains("*") {
                guard wanted.contains(String(before?.version ?? 0)) else {
                    throw Problem.preconditionFailed(
                        "read the policy again; `If-Match` must name its ETag, which is now \"\(before?.version ?? 0)\"")
                }
            }
            if let before, before.source == source { return before }
            let version = (before?.version ?? 0) + 1
            try await PolicyStore.add(
                version, source: source, by: request.caller.label, at: now, in: transaction)
            return PolicyStore.Stored(version: version, source: source, createdAt: now)
        }
        return Self.answer(stored)
    }

    /// Reads a policy out of a body; a mistake is answered with its line.
    static func read(_ bytes: [UInt8]) throws(Problem) -> IdentityPolicy {
        do throws(PolicyMistake) {
            return try PolicyReader.read(bytes)
        } catch {
            throw .badRequest(error.detail, type: "invalid-identity-policy", errors: [error.json])
        }
    }

    private static func answer(_ stored: PolicyStore.Stored?) -> ServiceResponse {
        let source = stored?.source ?? ShippedPolicy.source
        var body: [String: JSON] = [
            "version": .integer(stored?.version ?? 0), "source": .string(source),
        ]
        body["createdAt"] = stored.map { .string($0.createdAt.rfc3339) }
        return .json(.object(body), headers: [.eTag: "\"\(stored?.version ?? 0)\""])
    }
}
