import Contracts
import JourneysDomain
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit
import Streams

@main enum JourneysServer {
    static func main() async { await ServiceProcess.main(journeysService) }
}

/// Journeys: definitions, who is where in them, and what should be sent.
package let journeysService = ServiceDefinition(
    name: .journeys,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(
            resource: "V0002_intents_set_right", bytes: PackageResources.V0002_intents_set_right_sql),
        Migration(resource: "V0003_undone_merges", bytes: PackageResources.V0003_undone_merges_sql),
        Migration(resource: "V0004_retention", bytes: PackageResources.V0004_retention_sql),
    ],
    openAPI: Contracts.journeys, published: [.intents]
) { context in
    let catalogs = CatalogStore(logger: context.logger)
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try context.settings.identifierSecret()), vault: context.vault)
    let events = ProfileEventsWorker(catalogs: catalogs, profiles: profiles).consumer(in: context)
    let memberships = MembershipsWorker(catalogs: catalogs, profiles: profiles, events: FactsFirst([events]))
        .consumer(in: context)
    let timers = TimersWorker(pool: context.pool, catalogs: catalogs, profiles: profiles)
        .sweeper(in: context, after: [events, memberships])
    let retention = JourneyRetention(intents: StreamHistory(.intents, sealing: context.vault.days))
    return ServiceParts(
        routes: { router in
            JourneyRoutes(
                pool: context.pool, clock: context.clock, catalogs: catalogs, vault: context.vault
            ).add(to: router)
            InstanceRoutes(pool: context.pool, vault: context.vault).add(to: router)
        },
        workers: [events, memberships, timers],
        privacy: JourneysPrivacy(catalogs: catalogs, profiles: profiles, clock: context.clock).handler,
        retention: { current, now, _ in retention.tasks(by: current, at: now) })
}
