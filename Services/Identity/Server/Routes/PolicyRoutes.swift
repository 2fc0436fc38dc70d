import HTTPTypes
import IdentityDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// What counts as an identifier: reading and replacing the policy.
struct PolicyRoutes {
    let policies: PolicyRegistry
    let pool: PostgresPool
    let vault: Vault
    let clock: ServiceClock
    /// What a rehearsal goes through: its resolver holds in memory who everybody is.
    private static let mostEvents = 2_000_000

    func add(to router: ServiceRouter) {
        router.get("/v1/identity-policy", scope: .profilesRead, touches: .definitions) { _ in
            Self.answer(try await PolicyStore.latest(in: pool))
        }
        router.put("/v1/identity-policy", scope: .profilesWrite, touches: .changes) { try await put($0) }
        router.post("/v1/identity-policy/rehearsal", scope: .profilesRead, touches: .people) { request in
            let limit = try request.query("events", in: 1...Self.mostEvents, default: 100_000)
            let policy = try Self.read(try await request.body(maxBytes: PolicyReader.maxBytes))
            let (report, isPart) = try await Rehearsing(pool: pool, vault: vault).run(policy, events: limit)
            return .json(report.json(isPart: isPart))
        }
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
                        "read the policy again; `If-Match` must name its ETag, which is now \"\(before?.version ?? 0)\""
                    )
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

extension PolicyRehearsal.Report {
    fileprivate func json(isPart: Bool) -> JSON {
        [
            "events": .integer(Int64(events)), "isPart": .bool(isPart),
            "people": ["now": .integer(Int64(peopleNow)), "then": .integer(Int64(peopleThen))],
            "staying": [
                "people": .integer(Int64(staying)),
                "examples": .array(
                    stays.map {
                        [
                            "profileId": .string($0.profileID.description),
                            "profiles": .integer(Int64($0.profiles)),
                        ]
                    }),
            ],
            "splitting": [
                "people": .integer(Int64(splitting)),
                "examples": .array(
                    splits.map {
                        ["profileId": .string($0.profileID.description), "parts": .integer(Int64($0.parts))]
                    }),
            ],
            "merging": [
                "people": .integer(Int64(merging)),
                "examples": .array(
                    merges.map { ["profileIds": .array($0.map { .string($0.description) })] }),
            ],
            "withheld": .object(withheld.mapValues { .integer(Int64($0)) }),
        ]
    }
}
