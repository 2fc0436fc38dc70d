import ConsentDomain
import Contracts
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit

@main enum RecommendationServer {
    static func main() async { await ServiceProcess.main(recommendationService) }
}

/// The catalog, and what to recommend to whom.
package let recommendationService = ServiceDefinition(
    name: .recommendation,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(resource: "V0002_retention", bytes: PackageResources.V0002_retention_sql),
    ],
    openAPI: Contracts.recommendation
) { context in
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try context.settings.identifierSecret()), vault: context.vault)
    return ServiceParts(
        routes: { router in
            CatalogRoutes(pool: context.pool, clock: context.clock).add(to: router)
            RecommendationRoutes(
                pool: context.pool, clock: context.clock, profiles: profiles,
                policies: ConsentPolicyReader { try ConsentPolicy(json: $0) }
            ).add(to: router)
        },
        workers: [ShopEventsWorker(profiles: profiles).consumer(in: context)],
        privacy: RecommendationPrivacy.handler,
        retention: { current, now, _ in ShopRetention.tasks(by: current, at: now) })
}
