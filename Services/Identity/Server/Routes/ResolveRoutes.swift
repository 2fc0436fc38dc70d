import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Finding, or making, the profile that identifiers mean: for services that must name one before any event.
struct ResolveRoutes {
    let resolution: Resolution
    let pool: PostgresPool
    let clock: ServiceClock
    /// Identifiers in one call; one of each kind.
    private static let most = 16
    private static let attempts = 5

    func add(to router: ServiceRouter) {
        router.post("/v1/profiles/resolve", scope: .profilesWrite) { request in
            let policy = try await resolution.policies.latest(in: pool)
            let identifiers = try identifiers(in: try await request.json(maxBytes: 64 << 10), policy)
            let placement = try await resolve(identifiers, traceparent: request.traceparent)
            return .json([
                "profileId": .string(placement.profileID.description), "created": .bool(placement.created),
            ])
        }
    }

    private func identifiers(
        in body: JSON, _ policy: IdentityPolicy
    ) throws(DecodingProblem) -> [Identifier] {
        let fields = try JSONFields(body)
        let items = try fields.array("identifiers")
        var identifiers: [Identifier] = []
        for (index, item) in items.enumerated() {
            identifiers.append(try policy.identifier(json: item, at: "identifiers.\(index)"))
        }
        guard !identifiers.isEmpty, identifiers.count <= Self.most,
            Set(identifiers.map(\.kind)).count == identifiers.count
        else {
            throw fields.problem("identifiers", expected: "one to \(Self.most) identifiers, one of each type")
        }
        return identifiers
    }

    private func resolve(
        _ identifiers: [Identifier], traceparent: String?
    ) async throws -> Resolver.Placement {
        for _ in 0..<Self.attempts {
            do {
                return try await pool.transaction { transaction in
                    let now = try await clock.now()
                    let policy = try await resolution.policies.current(in: transaction)
                    let observation = Observation(
                        messageID: identifiers.map(\.json.compact).sorted().joined(), sourceID: .profileAPI,
                        identifiers: identifiers, at: now, receivedAt: now, policy: policy)
                    var (resolver, keys) = try await resolution.resolver(
                        for: [observation], of: [], policy: policy, in: transaction)
                    let placement = try resolver.resolve(observation)
                    try await resolution.write(
                        resolver, traceparents: resolver.facts.map { _ in traceparent }, having: keys,
                        at: now,
                        in: transaction)
                    return placement
                }
            } catch is RetryLater {
                // Somebody else has just met the same person; now they are known.
                continue
            }
        }
        throw Problem.unavailable("the same person is being resolved elsewhere; try again")
    }
}
