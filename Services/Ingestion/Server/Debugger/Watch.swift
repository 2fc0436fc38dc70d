import Foundation
import Models
import Postgres
import ServiceKit
import Streams

/// One watcher of one source: the last items, then each new one, until it leaves.
struct Watch: Sendable {
    let source: SourceID
    let filter: RecentItemFilter
    /// How many items are shown that came before.
    let last: Int
    /// The last that the client has, where it comes again.
    let resumingAfter: Int64?
    let store: RecentItemStore
    let publisher: RecentItemPublisher
    let hub: WakeHub
    let timing: Timing
    /// Held as long as it watches.
    let place: Watchers.Place

    struct Timing: Sendable {
        /// For how long the other instances are waited for before the last items are shown.
        var gathering: Duration = .milliseconds(300)
        /// A connection on which nothing comes looks dead after a minute.
        var ping: Duration = .seconds(15)
        var renewal: Duration = .seconds(10)
        /// After this the client has to come again, and to show that it still may.
        var longest: Duration = .minutes(10)
    }

    private static let channels = [RecentItemStore.itemChannel]

    /// Writes until it is cancelled.
    func write(to writer: BodyWriter) async throws {
        let id = DebuggerWatchID(UUID())
        do {
            try await write(to: writer, as: id)
        } catch {
            await end(id)
            throw error
        }
        await end(id)
    }

    /// Best effort: what stays runs out by itself.
    private func end(_ id: DebuggerWatchID) async {
        let store = store
        // The task that watched is cancelled, and would be refused a connection.
        await Task { try? await store.unwatch(id) }.value
    }

    private func write(to writer: BodyWriter, as id: DebuggerWatchID) async throws {
        try await writer.write(ServerSentEvent.comment("watching"))
        try await store.watch(source, as: id)
        var renewed = ContinuousClock.now
        var written = renewed
        var position = try await begin(writer)
        while !Task.isCancelled {
            let ticket = await hub.ticket(Self.channels)
            var wait = Duration.zero
            do {
                if ContinuousClock.now - renewed >= timing.renewal {
                    if try await !store.renew(id) { try await store.watch(source, as: id) }
                    renewed = .now
                }
                let items = try await store.items(of: source, after: position.id)
                if try await show(items, &position, writer) { written = .now }
                if items.isEmpty { wait = timing.renewal - (.now - renewed) }
            } catch let error as PostgresError where error.isTransient {
                // The database is away, and comes back: what is published by then is read on.
                wait = .seconds(1)
            }
            if ContinuousClock.now - written >= timing.ping {
                try await writer.write(ServerSentEvent.comment("ping"))
                written = .now
            }
            await hub.wait(ticket, upTo: min(wait, timing.ping - (.now - written)))
        }
    }

    /// Shows what came before, and returns from where to go on.
    private func begin(_ writer: BodyWriter) async throws -> WatchPosition {
        if let resumingAfter, let position = try await store.position(of: source, at: resumingAfter) {
            return position
        }
        try await gather()
        if resumingAfter != nil { try await writer.write(Self.missed(nil).bytes) }
        let (items, position) = try await store.last(last, of: source, filter)
        if !items.isEmpty { try await writer.write(items.flatMap { Self.event($0).bytes }) }
        return position
    }

    /// This instance publishes what it holds at once; the others are given a moment.
    private func gather() async throws {
        let deadline = ContinuousClock.now + timing.gathering
        try await publisher.look()
        try await publisher.publish(source)
        while !Task.isCancelled, ContinuousClock.now < deadline {
            let ticket = await hub.ticket(Self.channels)
            await hub.wait(ticket, upTo: deadline - .now)
        }
    }

    /// Writes the items that pass, and how many are missing before them; true when there was anything to write.
    private func show(
        _ items: [PublishedItem], _ position: inout WatchPosition, _ writer: BodyWriter
    ) async throws -> Bool {
        var bytes: [UInt8] = []
        for item in items {
            let (isNew, missed) = position.advance(to: item)
            if missed > 0 { bytes += Self.missed(missed).bytes }
            if isNew, filter.passes(verdict: item.verdict, event: item.event) {
                bytes += Self.event(item).bytes
            }
        }
        if bytes.isEmpty { return false }
        try await writer.write(bytes)
        return true
    }

    private static func event(_ item: PublishedItem) -> ServerSentEvent {
        ServerSentEvent(id: String(item.id), event: "item", data: item.body)
    }

    /// Items that can't be shown; how many is nil where nobody knows.
    private static func missed(_ count: Int64?) -> ServerSentEvent {
        ServerSentEvent(
            event: "missed", data: JSON.object(["count": count.map { .integer($0) } ?? .null]).compact)
    }
}
