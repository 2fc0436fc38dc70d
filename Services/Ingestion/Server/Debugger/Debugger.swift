import Logging
import Models
import Sealing
import ServiceKit
import ServiceLifecycle

/// The live debugger, put together: what is held of every source, and how it gets to those who watch one.
struct Debugger: Sendable {
    /// Where those who take items note them.
    let recent: RecentItems
    let sources: SourceStore
    let workers: [any Service]
    private let store: RecentItemStore
    private let publisher: RecentItemPublisher
    private let watchers: Watchers
    private let timing: Watch.Timing
    private let context: ServiceContext

    init(_ context: ServiceContext, sources: SourceStore, rules: EventRules) throws {
        self.context = context
        self.sources = sources
        recent = RecentItems { rules.governing }
        store = RecentItemStore(pool: context.pool, days: context.vault.days)
        publisher = RecentItemPublisher(
            recent: recent, store: store, hub: context.hub, logger: context.logger)
        workers = [publisher, RecentItemPruner(store: store, logger: context.logger)]
        watchers = Watchers(
            limit: try context.settings.int("INGESTION_DEBUGGERS", in: 0...1000, default: 32))
        var timing = Watch.Timing()
        timing.longest = try context.settings.duration(
            "INGESTION_DEBUGGER_LONGEST", default: timing.longest)
        timing.ping = try context.settings.duration("INGESTION_DEBUGGER_PING", default: timing.ping)
        self.timing = timing
    }

    /// The NOTIFY channels that it waits on.
    static let channels = [RecentItemStore.watchChannel, RecentItemStore.itemChannel]

    /// A stream of what a source sends.
    func watch(
        _ source: SourceID, _ filter: RecentItemFilter, last: Int, resumingAfter: Int64?
    ) throws(Problem) -> ServiceResponse {
        let place = try watchers.take()
        let watch = Watch(
            source: source, filter: filter, last: last, resumingAfter: resumingAfter, store: store,
            publisher: publisher, hub: context.hub, timing: timing, place: place)
        return .events(longest: timing.longest) { try await watch.write(to: $0) }
    }
}
