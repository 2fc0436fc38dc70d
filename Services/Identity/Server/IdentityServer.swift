import ConsentDomain
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
        Migration(resource: "V0004_profile_by_id", bytes: PackageResources.V0004_profile_by_id_sql),
        Migration(
            resource: "V0005_reversible_merges", bytes: PackageResources.V0005_reversible_merges_sql),
        Migration(
            resource: "V0006_identity_policy", bytes: PackageResources.V0006_identity_policy_sql),
        Migration(resource: "V0007_accounts", bytes: PackageResources.V0007_accounts_sql),
        Migration(resource: "V0008_matching", bytes: PackageResources.V0008_matching_sql),
        Migration(resource: "V0009_sealed_timeline", bytes: PackageResources.V0009_sealed_timeline_sql),
        Migration(
            resource: "V0010_unmerged_profiles", bytes: PackageResources.V0010_unmerged_profiles_sql),
        Migration(
            resource: "V0011_matching_records", bytes: PackageResources.V0011_matching_records_sql),
        Migration(resource: "V0012_tombstones", bytes: PackageResources.V0012_tombstones_sql),
        Migration(resource: "V0013_webhook_ordering", bytes: PackageResources.V0013_webhook_ordering_sql),
        Migration(
            resource: "V0014_causes_without_names", bytes: PackageResources.V0014_causes_without_names_sql),
        Migration(
            resource: "V0015_withheld_deliveries", bytes: PackageResources.V0015_withheld_deliveries_sql),
        Migration(
            resource: "V0016_webhook_audience", bytes: PackageResources.V0016_webhook_audience_sql),
        Migration(
            resource: "V0017_corrected_identifiers",
            bytes: PackageResources.V0017_corrected_identifiers_sql),
    ],
    openAPI: Contracts.identity, published: [.profileEvents],
    channels: [WebhookQueue.channel, MatchingJobStore.channel]
) { context in
    let secret = try context.settings.identifierSecret()
    let key = IdentifierKey(secret: secret)
    let resolution = Resolution(key: key, vault: context.vault)
    let reading = ProfileReading(store: ProfileStore(key: key, vault: context.vault), pool: context.pool)
    let webhooks = try Webhooks(context, secret: secret, reading: reading)
    let merging = Merging(resolution: resolution, key: key)
    let events = EventResolution(resolution: resolution).consumer(in: context)
    let matching = try Matching(context, resolution: resolution, reading: reading)
    let sweeps = TimelineRetentionTasks(policies: ConsentPolicyReader { try ConsentPolicy(json: $0) })
    return ServiceParts(
        routes: { router in
            ProfileRoutes(reading: reading, policies: resolution.policies).add(to: router)
            LookupRoutes(reading: reading, policies: resolution.policies).add(to: router)
            UpsertRoutes(
                upserts: Upserts(resolution: resolution, reading: reading),
                idempotency: Idempotency(
                    pool: context.pool, clock: context.clock, vault: context.vault), clock: context.clock
            ).add(to: router)
            TraitRoutes(
                resolution: resolution, reading: reading, pool: context.pool, clock: context.clock
            ).add(to: router)
            CorrectionRoutes(
                corrections: Corrections(resolution: resolution, reading: reading),
                idempotency: Idempotency(
                    pool: context.pool, clock: context.clock, vault: context.vault), clock: context.clock
            ).add(to: router)
            ResolveRoutes(
                upserts: Upserts(resolution: resolution, reading: reading), pool: context.pool,
                clock: context.clock
            ).add(to: router)
            TimelineRoutes(reading: reading).add(to: router)
            webhooks.add(to: router)
            AccountRoutes(pool: context.pool, vault: context.vault).add(to: router)
            PolicyRoutes(
                policies: resolution.policies, pool: context.pool, vault: context.vault, clock: context.clock
            ).add(to: router)
            MergeRoutes(
                merging: merging, pool: context.pool,
                idempotency: Idempotency(
                    pool: context.pool, clock: context.clock, vault: context.vault),
                notes: MergeNotes(days: context.vault.days), clock: context.clock
            ).add(to: router)
            matching.add(to: router)
        },
        workers: [
            events,
            SearchBackfill(
                store: reading.store, pool: context.pool, clock: context.clock, logger: context.logger),
            webhooks.dispatcher,
        ] + matching.workers,
        privacy: IdentityPrivacy(reading: reading, clock: context.clock, events: events).handler,
        retention: { current, now, pool in try await sweeps.tasks(by: current, at: now, in: pool) })
}
