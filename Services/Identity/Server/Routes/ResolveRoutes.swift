import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Finding, or making, the profile that identifiers mean: for services that must name one before any event.
struct ResolveRoutes {
    let upserts: Upserts
    let pool: PostgresPool
    let clock: ServiceClock
    /// Identifiers in one call; one of each kind.
    private static let most = 16
    private static let attempts = 5

    func add(to router: ServiceRouter) {
        router.post("/v1/profiles/resolve", scope: .profilesWrite, touches: .identifiers) { request in
            let policy = try await upserts.resolution.policies.latest(in: pool)
            let identifiers = try identifiers(in: try await request.json(maxBytes: 64 << 10), policy)
            let (id, isNew, withheld) =
                switch try await resolve(identifiers, traceparent: request.traceparent) {
                case .created(let id, let withheld): (id, true, withheld)
                case .updated(let id, let withheld), .unchanged(let id, let withheld): (id, false, withheld)
                case .refused(let refusal): throw Problem.badRequest(refusal.reason)
                }
            var members: [String: JSON] = [
                "profileId": .string(id.description), "created": .bool(isNew),
            ]
            if !withheld.isEmpty { members["withheld"] = .array(withheld) }
            return .json(.object(members))
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
    ) async throws -> UpsertVerdict {
        for _ in 0..<Self.attempts {
            do {
                return try await pool.transaction { transaction in
                    let now = try await clock.now()
                    let item = Upserts.Item(
                        upsert: ProfileUpsert(
                            identifiers: identifiers, traits: [:], occurredAt: nil, sourceID: nil),
                        // Not made of the identifiers: a merge keeps what it was made because of, in plain words.
                        messageID: "resolve-\(UUIDv7.make(at: now))")
                    return try await upserts.run(
                        [.success(item)], traceparent: traceparent, at: now, in: transaction
                    ).first ?? .refused(ItemRefusal("nothing was resolved"))
                }
            } catch is RetryLater {
                // Somebody else has just met the same person; now they are known.
                continue
            }
        }
        throw Problem.unavailable("the same person is being resolved elsewhere; try again")
    }
}
