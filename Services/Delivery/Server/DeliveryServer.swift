import ConsentDomain
import Contracts
import DeliveryDomain
import Logging
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit

@main enum DeliveryServer {
    static func main() async { await ServiceProcess.main(deliveryService) }
}

/// Templates, messages and their outcomes.
package let deliveryService = ServiceDefinition(
    name: .delivery,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(resource: "V0002_undone_merges", bytes: PackageResources.V0002_undone_merges_sql),
        Migration(resource: "V0003_objections", bytes: PackageResources.V0003_objections_sql),
        Migration(resource: "V0004_notice_files", bytes: PackageResources.V0004_notice_files_sql),
        Migration(resource: "V0005_retention", bytes: PackageResources.V0005_retention_sql),
        Migration(
            resource: "V0006_message_remnants", bytes: PackageResources.V0006_message_remnants_sql),
    ],
    openAPI: Contracts.delivery, channels: [QueueStore.channel]
) { context in
    let settings = try DeliverySettings(context.settings, logger: context.logger)
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try context.settings.identifierSecret()), vault: context.vault)
    let sealing = MessageSealing(days: context.vault.days)
    let links = Links(publicURL: settings.publicURL, tokens: context.tokens)
    let events = OutcomeEvents(outbox: context.outbox)
    let (queue, templates, suppressions) = (QueueStore(sealing: sealing), TemplateStore(), SuppressionStore())
    let corrections = CorrectionStore(queue: queue, events: events)
    let batch = SendBatch(
        pool: context.pool, clock: context.clock, corrections: corrections,
        decisions: DecisionStore(
            profiles: profiles, policies: ConsentPolicyReader { try ConsentPolicy(json: $0) }),
        templates: templates, suppressions: suppressions,
        recommendations: RecommendationReader(http: context.http),
        rendering: MailRendering(
            links: links,
            people: PersonLinks(
                pagesURL: context.settings.string("PREFERENCES_URL") ?? context.settings.url(of: .consent),
                tokens: context.tokens)), from: settings.from, lease: settings.lease)
    let outcomes = OutcomeWriter(
        pool: context.pool, corrections: corrections, suppressions: suppressions, logger: context.logger)
    let intents = IntentWorker.consumer(in: context, store: corrections)
    let transport = settings.transport()
    let sender = Sender(batch: batch, transport: transport, outcomes: outcomes, context: context)
    let retries = RetryWorker(context: context, store: queue)
    let erasures = ErasureStore(sealing: sealing, files: transport as? FileTransport)
    let retention = MessageRetention(files: transport as? FileTransport)
    return ServiceParts(
        routes: { router in
            TemplateRoutes(pool: context.pool, clock: context.clock, store: templates).add(to: router)
            MessageRoutes(pool: context.pool, profiles: profiles).add(to: router)
            NoticeRoutes(
                pool: context.pool, clock: context.clock, key: profiles.key, transport: transport,
                from: settings.from
            ).add(to: router)
            ErasureRoutes(pool: context.pool, store: erasures).add(to: router)
            SuppressionRoutes(pool: context.pool, clock: context.clock, key: profiles.key).add(to: router)
            TrackingRoutes(
                pool: context.pool, clock: context.clock, links: links, outbox: context.outbox,
                profiles: profiles, sealing: sealing
            ).add(to: router)
        },
        // The sender is last, so that on shutdown it stops first, while all that it needs still runs.
        workers: [intents, retries, sender],
        privacy: PrivacyHandler(
            access: { try await erasures.access($0.profileIDs, in: $1) },
            erase: { try await erasures.erase($0.profileIDs, in: $1) }),
        retention: { current, now, _ in retention.tasks(by: current, at: now) })
}
