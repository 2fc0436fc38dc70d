import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle
import Streams

/// Publishes what this instance holds, and what it takes in, of the sources that somebody watches. While nobody does,
/// it sleeps.
actor RecentItemPublisher: Service {
    /// How far a source is published.
    private struct Place {
        /// Nil where nothing was held when the watch began.
        var ring: Int64?
        var number: Int64 = -1
    }

    /// More often than this nothing is published: whoever looks on can't see more, and the database has other work.
    private static let pause: Duration = .milliseconds(100)

    nonisolated let recent: RecentItems
    private let store: RecentItemStore
    private let hub: WakeHub
    private let logger: Logger
    private var watches: [DebuggerWatchID: SourceID] = [:]
    private var places: [SourceID: Place] = [:]
    /// How often places were forgotten: what was under way then says nothing about them.
    private var resets = 0
    /// Looks that have begun, and the last of them whose finding counts: of two at once that which began first may end
    /// last.
    private var (begun, counted) = (0, 0)

    init(recent: RecentItems, store: RecentItemStore, hub: WakeHub, logger: Logger) {
        (self.recent, self.store, self.hub, self.logger) = (recent, store, hub, logger)
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.follow() }
                group.addTask { await self.publishAll() }
            }
        }
    }

    /// Looks who watches whenever that is signalled, and when the connection that hears signals was away.
    private func follow() async {
        while !Task.isCancelled {
            let ticket = await hub.ticket([RecentItemStore.watchChannel])
            do {
                try await look()
                await hub.wait(ticket, upTo: .hours(24))
            } catch {
                logger.debug("who watches is not known; looking again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Hears of erasures and of watches; for one that is new everything that is held is published.
    func look() async throws {
        begun += 1
        let turn = begun
        let standing = try await store.standing()
        guard turn > counted else { return }
        counted = turn
        recent.heard(erasures: standing.erasures)
        let sources = Set(standing.watches.values)
        for (id, source) in standing.watches where watches[id] == nil {
            places[source] = nil
            resets += 1
        }
        places = places.filter { sources.contains($0.key) }
        watches = standing.watches
        recent.watch(sources)
    }

    private func publishAll() async {
        for await _ in recent.wakes {
            for source in recent.watched {
                do { try await publish(source) } catch {
                    logger.debug("a watched source is not published", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                    recent.wakeUp()
                }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Publishes what a source has that is not published.
    func publish(_ source: SourceID) async throws {
        let (place, before) = (places[source], resets)
        guard let (ring, erasures, held) = recent.held(of: source) else {
            if place == nil { places[source] = Place() }
            return
        }
        let isSame = place?.ring == ring
        let fresh = held.filter { !isSame || $0.number > place?.number ?? -1 }
        guard let last = fresh.last?.number else {
            if place == nil { places[source] = Place(ring: ring, number: held.last?.number ?? -1) }
            return
        }
        // A ring that came to be during the watch began with the first of what came.
        let missed = place != nil && !isSame ? fresh.first?.number ?? 0 : 0
        let outcome = try await store.publish(
            fresh.map { RecentItem($0) }, missed: missed, of: source, ring: ring, erasures: erasures)
        switch outcome {
        case .published: if resets == before { places[source] = Place(ring: ring, number: last) }
        // What was found is old by now: somebody may have begun to watch, and have been seen, meanwhile.
        case .unwatched, .erased: try await look()
        }
    }
}
