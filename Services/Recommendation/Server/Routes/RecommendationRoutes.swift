import ConsentDomain
import Models
import Postgres
import ProfileStore
import RecommendationDomain
import ServiceKit

/// `/v1/recommendations`.
struct RecommendationRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let profiles: ProfileStore
    let policies: ConsentPolicyReader<ConsentPolicy>

    func add(to router: ServiceRouter) {
        router.get("/v1/recommendations", scope: .recommendationsRead, touches: .people) {
            try await recommend($0)
        }
    }

    /// What is known of the person, if one was named.
    private struct Known {
        var orders: [Order] = []
        var interests: [Interest] = []
    }

    private func recommend(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...50, default: 5)
        let sku = try request.query("sku")
        let profileID = try request.queryID("profileId", as: ProfileID.self)
        var strategy = Strategy.best
        if let text = try request.query("strategy") {
            guard let known = Strategy(rawValue: text) else {
                throw Problem.badRequest(
                    "`strategy` must be one of \(Strategy.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            strategy = known
        }
        let now = try await clock.now()
        let (read, refusal) = try await read(profileID, for: strategy, now: now)
        let known = refusal == nil ? read : Known()
        let possessions = Possessions(orders: known.orders)
        var facts = Recommender.Facts(
            seeds: strategy == .popular
                ? []
                : Seed.choose(
                    asked: sku, interests: known.interests, orders: known.orders, possessions: possessions,
                    now: now),
            neighbours: [:], popular: [],
            excluded: Set(possessions.quantities.keys)
                .union(cartContents(interests: known.interests, orders: known.orders))
                .union(sku.map { [$0] } ?? []),
            available: [:], seedNames: [:])
        let (chosen, items) = try await choose(strategy, &facts, limit: limit, now: now)
        return .json([
            "profileId": profileID.map { .string($0.description) } ?? .null,
            "strategy": .string(strategy.rawValue), "denied": refusal ?? .null,
            "items": .array(chosen.compactMap { item in items[item.sku].map { Self.json(item, $0) } }),
        ])
    }

    /// What is known of the person, or why consent doesn't permit to use it.
    private func read(
        _ profileID: ProfileID?, for strategy: Strategy, now: Instant
    ) async throws -> (Known, denied: JSON?) {
        guard let profileID else { return (Known(), nil) }
        guard let person = try await profiles.person(profileID, in: pool), person.erasedAt == nil else {
            throw Problem.notFound("no such profile", type: "unknown-profile")
        }
        if try await !profiles.restricted(person.memberIDs, in: pool).isEmpty {
            return (Known(), ["reason": "restricted"])
        }
        if let denied = try await denial(of: strategy, to: person, now: now) { return (Known(), denied) }
        let known = Known(
            orders: try await OrderStore.orders(of: person.memberIDs, in: pool),
            interests: try await InterestStore.interests(of: person.memberIDs, in: pool))
        return (known, nil)
    }

    /// How old the consent policy may be.
    private static let policyAge = Duration.seconds(1)

    private func denial(of strategy: Strategy, to person: Person, now: Instant) async throws -> JSON? {
        guard let found = try await policies.recentIfAny(Self.policyAge, in: pool),
            found.policy.requirement(of: .recommendations, strategy.rawValue) != nil
        else { return nil }
        let consents = try await profiles.consents(of: person, in: pool)
        let country = try await profiles.traits(of: person, in: pool).values["country"]?.string
        let use = ConsentUse(
            things: [.init(.recommendations, strategy.rawValue)],
            jurisdiction: country.flatMap(Jurisdiction.init(loosely:)))
        let words = consents.mapValues { ConsentWord($0.state, at: $0.at) }
        guard let denial = permits(found.policy, words, use, now: now).denial else { return nil }
        return [
            "purpose": .string(denial.purpose), "reason": .string(denial.reason.rawValue),
            "policyVersion": .integer(found.version),
        ]
    }

    /// Asks the models, the dearer one only when the other leaves room. The catalog is read anew each time: what
    /// went out of stock a moment ago is not recommended.
    private func choose(
        _ strategy: Strategy, _ facts: inout Recommender.Facts, limit: Int, now: Instant
    ) async throws -> ([Recommendation], [String: CatalogItem]) {
        let models = ShopModels(pool: pool)
        var items: [String: CatalogItem] = [:]
        func look(up skus: Set<String>) async throws {
            for (sku, item) in try await CatalogStore.get(skus, in: pool) {
                items[sku] = item
                if item.inStock && !item.discontinued { facts.available[sku] = item.name }
            }
        }
        facts.neighbours = try await models.neighbours(of: facts.seeds.map(\.sku), now: now)
        if !facts.seeds.isEmpty {
            let candidates = Set(facts.neighbours.values.joined().map(\.sku)).subtracting(facts.excluded)
            try await look(up: candidates.union(facts.seeds.map(\.sku)))
            for seed in facts.seeds { facts.seedNames[seed.sku] = items[seed.sku]?.name }
        }
        let chosen = Recommender.recommend(strategy, from: facts, limit: limit)
        if chosen.count == limit || strategy == .boughtTogether { return (chosen, items) }
        facts.popular = try await models.popular(now: now)
        try await look(up: Set(facts.popular.map(\.sku)).subtracting(facts.excluded).subtracting(items.keys))
        return (Recommender.recommend(strategy, from: facts, limit: limit), items)
    }

    private static func json(_ recommendation: Recommendation, _ item: CatalogItem) -> JSON {
        var evidence: [String: JSON] = [:]
        evidence["customers"] = recommendation.customers.map { .integer(Int64($0)) }
        evidence["orders"] = recommendation.orders.map { .integer(Int64($0)) }
        if let seed = recommendation.seed {
            evidence["seedSku"] = .string(seed.sku)
            evidence["seedOrigin"] = .string(seed.origin.rawValue)
        }
        return [
            "sku": .string(item.sku), "name": .string(item.name),
            "price": item.price.map { .string($0.amountText) } ?? .null,
            "currency": item.price.map { .string($0.currency) } ?? .null,
            "url": item.url.map { .string($0) } ?? .null,
            "imageUrl": item.imageURL.map { .string($0) } ?? .null,
            "reason": .string(recommendation.reason), "strategy": .string(recommendation.strategy.rawValue),
            "evidence": .object(evidence),
        ]
    }
}
