import Contracts
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit
import Streams

@main enum IdentityServer {
    static func main() async { await ServiceProcess.main(identityService) }
}

/// Who somebody is: profiles, identifiers, merges, traits and the timeline.
package let identityService = ServiceDefinition(
    name: .identity,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(
            resource: "V0002_search_and_idempotency",
            bytes: PackageResources.V0002_search_and_idempotency_sql),
        Migration(resource: "V0003_webhooks", bytes: PackageResources.V0003_webhooks_sql),
        Migration(resource: "V0004_sealed_timeline", bytes: PackageResources.V0004_sealed_timeline_sql),
    ],
    openAPI: Contracts.identity, published: [.profileEvents], channels: [WebhookQueue.channel]
) { context in
    let secret = try context.settings.identifierSecret()
    let key = IdentifierKey(secret: secret)
    let resolution = Resolution(key: key, vault: context.vault)
    let reading = ProfileReading(store: ProfileStore(key: key, vault: context.vault), pool: context.pool)
    let webhooks = try Webhooks(context, secret: secret, reading: reading)
    return ServiceParts(
        routes: { router in
            ProfileRoutes(reading: reading).add(to: router)
            LookupRoutes(reading: reading).add(to: router)
            UpsertRoutes(
                upserts: Upserts(resolution: resolution, reading: reading),
                idempotency: Idempotency(
                    pool: context.pool, clock: context.clock, vault: context.vault), clock: context.clock
            ).add(to: router)
            TraitRoutes(
                resolution: resolution, reading: reading, pool: context.pool, clock: context.clock
            ).add(to: router)
            ResolveRoutes(resolution: resolution, pool: context.pool, clock: context.clock).add(to: router)
            TimelineRoutes(reading: reading).add(to: router)
            webhooks.add(to: router)
        },
        workers: [EventResolution(resolution: resolution).consumer(in: context), webhooks.dispatcher],
        privacy: IdentityPrivacy(reading: reading, clock: context.clock).handler)
}
