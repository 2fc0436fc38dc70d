import IngestionDomain
import Models
import ProfileStore
import Sealing
import ServiceKit

/// Inbound webhooks, put together.
struct Webhooks: Sendable {
    private let routes: WebhookRoutes
    private let hooks: HookRoutes

    init(
        _ context: ServiceContext, profiles: ProfileStore, sources: SourceDirectory, reading: ItemReading,
        writer: EventWriter, rates: SourceRates, limits: IngestionLimits, recent: RecentItems
    ) throws {
        let (pool, clock) = (context.pool, context.clock)
        let secret = try context.settings.identifierSecret()
        let publicURL = context.settings.string("INGESTION_PUBLIC_URL").map { url in
            String(url.reversed().drop { $0 == "/" }.reversed())
        }
        let store = WebhookStore(pool: pool)
        let vault = WebhookVault(secret: secret)
        let directory = WebhookDirectory(store: store, vault: vault)
        routes = WebhookRoutes(
            store: store, vault: vault, directory: directory, clock: clock, publicURL: publicURL)
        hooks = HookRoutes(
            receiver: WebhookReceiver(
                directory: directory,
                reading: WebhookReading(
                    profiles: profiles, pool: pool, limits: limits,
                    sources: sources, reading: reading),
                writer: writer, pool: pool, clock: clock, rates: rates, recent: recent, publicURL: publicURL,
                logger: context.logger))
    }

    func add(to router: ServiceRouter) {
        routes.add(to: router)
        hooks.add(to: router)
    }
}
