import ConsentDomain
import Contracts
import IngestionDomain
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit
import Streams

@main enum IngestionServer {
    static func main() async { await ServiceProcess.main(ingestionService) }
}

/// Collecting: sources and write keys, and the raw event log.
package let ingestionService = ServiceDefinition(
    name: .ingestion,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(resource: "V0002_quarantine", bytes: PackageResources.V0002_quarantine_sql),
        Migration(resource: "V0003_tracking_plan", bytes: PackageResources.V0003_tracking_plan_sql),
        Migration(resource: "V0004_webhooks", bytes: PackageResources.V0004_webhooks_sql),
        Migration(resource: "V0005_imports", bytes: PackageResources.V0005_imports_sql),
        Migration(resource: "V0006_debugger", bytes: PackageResources.V0006_debugger_sql),
        Migration(resource: "V0007_erasure_cut", bytes: PackageResources.V0007_erasure_cut_sql),
        Migration(
            resource: "V0008_shared_devices", bytes: PackageResources.V0008_shared_devices_sql),
        Migration(resource: "V0009_retention", bytes: PackageResources.V0009_retention_sql),
    ],
    openAPI: Contracts.ingestion, published: [.events], channels: Debugger.channels + [ImportStore.channel]
) { context in
    let (settings, pool, clock) = (context.settings, context.pool, context.clock)
    let limits = try IngestionLimits(settings: settings)
    let importing = try IngestionLimits(importing: settings)
    let window = try settings.duration("INGESTION_WINDOW", default: .days(30))
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try settings.identifierSecret()), vault: context.vault)
    let rules = EventRules(
        policies: ConsentPolicyReader { try ConsentPolicy(json: $0) }, profiles: profiles)
    let log = EventLog(pool: pool, clock: clock, window: window, profiles: profiles, rules: rules)
    let raw = RawEventStore(profiles: profiles)
    let writer = EventWriter(
        log: log, capacity: try settings.int("INGESTION_QUEUE_ITEMS", in: 1...1_000_000, default: 20_000))
    let sources = SourceStore(pool: pool)
    let directory = SourceDirectory(store: sources)
    let preparation = EventPreparation(secret: Array(try settings.identifierSecret().utf8))
    let rates = SourceRates(
        perSecond: try settings.int(
            "INGESTION_SOURCE_ITEMS_PER_SECOND", in: 1...10_000_000, default: 50_000))
    let reading = ItemReading(preparation: preparation, rules: rules)
    let debugger = try Debugger(context, sources: sources, rules: rules)
    let collector = Collector(
        directory: directory, writer: writer, clock: clock, rates: rates, reading: reading,
        recent: debugger.recent)
    let replay = QuarantineReplay(
        pool: pool, clock: clock, log: log, limits: importing, directory: directory,
        preparation: preparation)
    let webhooks = try Webhooks(
        context, profiles: profiles, sources: directory, reading: reading, writer: writer, rates: rates,
        limits: importing, recent: debugger.recent)
    let imports = try Imports(
        context, sources: directory, log: log, reading: reading, limits: importing)
    let retention = try IngestionRetention(vault: context.vault, settings: settings)
    return ServiceParts(
        routes: { router in
            CollectRoutes(collector: collector, limits: limits, importing: importing).add(to: router)
            PixelRoutes(collector: collector, limits: limits).add(to: router)
            PrivacyControlRoutes().add(to: router)
            SnippetRoutes(script: PackageResources.martlet_js).add(to: router)
            SettingsRoutes(directory: directory, publicURL: settings.string("INGESTION_PUBLIC_URL"))
                .add(to: router)
            SourceRoutes(store: sources, clock: clock).add(to: router)
            DebuggerRoutes(debugger: debugger).add(to: router)
            TrackingPlanRoutes(pool: pool, store: sources, clock: clock).add(to: router)
            webhooks.add(to: router)
            imports.add(to: router)
            QuarantineRoutes(pool: pool, replay: replay).add(to: router)
            ReconciliationRoutes(
                store: ReconciliationStore(pool: pool), sources: sources, clock: clock, window: window
            ).add(to: router)
            ErasureRoutes(store: raw, pool: pool, clock: clock).add(to: router)
        },
        workers: [
            KeyPruner(pool: pool, clock: clock, window: window, logger: context.logger),
            WebhookPruner(pool: pool, clock: clock, logger: context.logger),
            imports.pruner, imports.worker,
        ] + debugger.workers,
        privacy: IngestionPrivacy(store: raw, clock: clock).handler,
        retention: { current, now, _ in retention.tasks(by: current, at: now) })
}

extension IngestionLimits {
    /// The limits with what the settings say instead.
    init(settings: ServiceSettings) throws {
        self.init()
        bodyBytes = try settings.int("INGESTION_BODY_BYTES", in: 1024...(64 << 20), default: bodyBytes)
        itemBytes = try settings.int("INGESTION_ITEM_BYTES", in: 256...(16 << 20), default: itemBytes)
        batchItems = try settings.int("INGESTION_BATCH_ITEMS", in: 1...100_000, default: batchItems)
    }

    /// The same for what is imported.
    init(importing settings: ServiceSettings) throws {
        self = .importing
        bodyBytes = try settings.int(
            "INGESTION_IMPORT_BODY_BYTES", in: 1024...(64 << 20), default: bodyBytes)
        itemBytes = try settings.int(
            "INGESTION_IMPORT_ITEM_BYTES", in: 256...(16 << 20), default: itemBytes)
        batchItems = try settings.int("INGESTION_BATCH_ITEMS", in: 1...100_000, default: batchItems)
    }
}
