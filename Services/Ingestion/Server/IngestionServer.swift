import Contracts
import IngestionDomain
import Models
import Postgres
package import ServiceKit
import Streams

@main enum IngestionServer {
    static func main() async { await ServiceProcess.main(ingestionService) }
}

/// Collecting: sources and write keys, and the raw event log.
package let ingestionService = ServiceDefinition(
    name: .ingestion,
    migrations: [Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql)],
    openAPI: Contracts.ingestion, published: [.events]
) { context in
    let limits = try IngestionLimits(settings: context.settings)
    let writer = EventWriter(
        log: EventLog(pool: context.pool, clock: context.clock),
        capacity: try context.settings.int("INGESTION_QUEUE_ITEMS", in: 1...1_000_000, default: 20_000))
    let sources = SourceStore(pool: context.pool)
    return ServiceParts(
        routes: { router in
            CollectRoutes(
                limits: limits, directory: WriteKeyDirectory(store: sources), writer: writer,
                clock: context.clock
            ).add(to: router)
            SourceRoutes(store: sources, clock: context.clock).add(to: router)
            ReconciliationRoutes(store: ReconciliationStore(pool: context.pool), sources: sources).add(
                to: router)
            ErasureRoutes(store: RawEventStore(), pool: context.pool, clock: context.clock).add(to: router)
        },
        privacy: IngestionPrivacy(store: RawEventStore(), clock: context.clock).handler)
}

extension IngestionLimits {
    /// The limits with what the settings say instead.
    init(settings: ServiceSettings) throws {
        self.init()
        bodyBytes = try settings.int("INGESTION_BODY_BYTES", in: 1024...(64 << 20), default: bodyBytes)
        itemBytes = try settings.int("INGESTION_ITEM_BYTES", in: 256...(16 << 20), default: itemBytes)
        batchItems = try settings.int("INGESTION_BATCH_ITEMS", in: 1...100_000, default: batchItems)
    }
}
