import IngestionDomain
import Sealing
import ServiceKit

/// Files that are taken in, put together.
struct Imports: Sendable {
    let runner: ImportRunner
    let worker: ImportWorker
    let pruner: ImportPruner
    private let routes: ImportRoutes
    private let jobs: ImportJobRoutes

    init(
        _ context: ServiceContext, sources: SourceDirectory, log: EventLog, reading: ItemReading,
        limits: IngestionLimits
    ) throws {
        let (pool, clock) = (context.pool, context.clock)
        let settings = try ImportSettings(context.settings)
        let store = ImportStore(pool: pool)
        let files = ImportFileStore(
            pool: pool, vault: ImportVault(secret: try context.settings.identifierSecret()))
        let items = ImportItems(reading: reading, limits: limits)
        runner = ImportRunner(
            pool: pool, store: store, files: files, log: log, items: items, directory: sources, clock: clock,
            settings: settings, logger: context.logger)
        worker = ImportWorker(
            pool: pool, store: store, runner: runner, hub: context.hub, logger: context.logger)
        pruner = ImportPruner(files: files, clock: clock, logger: context.logger)
        routes = ImportRoutes(pool: pool, store: store, files: files, clock: clock, settings: settings)
        jobs = ImportJobRoutes(
            pool: pool, store: store, files: files, clock: clock,
            preview: ImportPreview(
                pool: pool, log: log, files: files, items: items, directory: sources, clock: clock,
                settings: settings))
    }

    func add(to router: ServiceRouter) {
        routes.add(to: router)
        jobs.add(to: router)
    }
}
