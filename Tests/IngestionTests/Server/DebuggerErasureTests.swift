import IngestionDomain
import Models
import Postgres
import Sealing
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "What the debugger forgets",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .timeLimit(.minutes(3)))
struct DebuggerErasureTests {
    @Test("an erasure clears what was published and what every instance holds")
    func erasure() async throws {
        try await Debugged.with(instances: 2) { debugged in
            for instance in 0..<2 { try await debugged.track("old\(instance)", to: instance) }
            try await debugged.service.events(debugged.path) { stream in
                let shown = try await stream.next(2)
                #expect(shown.count == 2)
                let pool = debugged.database.pool(as: .ingestion, maxConnections: 1)
                try await pool.transaction { try await RecentItemStore.erase(in: $0) }
                await pool.close()
                await debugged.untilHeard(erasures: 1)
                let left: SQL = "SELECT count(*) AS n FROM ingestion.recent_item"
                #expect(try await debugged.count(left) == 0)
                for instance in 0..<2 {
                    try await debugged.track("new\(instance)", to: instance)
                    let next = try await stream.next()
                    #expect(next?.messageID == "new\(instance)")
                }
            }
            // A new watch has everything published that is held.
            try await debugged.service.events(debugged.path) { stream in
                let shown = try await stream.next(2)
                #expect(Set(shown.map(\.messageID)) == ["new0", "new1"])
            }
        }
    }

    private func held(_ numbers: Range<Int64>) -> [RecentItem] {
        numbers.map { number in
            RecentItem(
                RecentItems.Held(
                    number: number, receivedAt: noon,
                    item: .refused(Refusal(.malformed, "no"), messageID: "m\(number)"),
                    verdict: .refused(Refusal(.malformed, "no"))))
        }
    }

    @Test("what was held before an erasure is not published after it, and nothing without a watch")
    func guarded() async throws {
        try await Debugged.with { debugged in
            let pool = debugged.database.pool(as: .ingestion, maxConnections: 2)
            let store = RecentItemStore(pool: pool, days: debugged.days)
            func publish(_ erasures: Int64) async throws -> RecentItemStore.Published {
                try await store.publish(
                    held(0..<3), missed: 0, of: debugged.sourceID, ring: 1, erasures: erasures)
            }
            #expect(try await publish(0) == .unwatched)
            let watch = DebuggerWatchID(UUIDv7.make(at: noon))
            try await store.watch(debugged.sourceID, as: watch)
            #expect(try await publish(0) == .published)
            try await pool.transaction { try await RecentItemStore.erase(in: $0) }
            #expect(try await publish(0) == .erased)
            #expect(try await store.items(of: debugged.sourceID, after: 0).isEmpty)
            #expect(try await publish(1) == .published)
            #expect(try await store.items(of: debugged.sourceID, after: 0).count == 3)
            await pool.close()
        }
    }

    @Test("of a watcher that reads too slowly nothing is kept but the count of what it missed")
    func slow() async throws {
        try await Debugged.with { debugged in
            let pool = debugged.database.pool(as: .ingestion, maxConnections: 2)
            let store = RecentItemStore(pool: pool, days: debugged.days)
            try await store.watch(debugged.sourceID, as: DebuggerWatchID(UUIDv7.make(at: noon)))
            var position = WatchPosition()
            for round in 0..<8 as Range<Int64> {
                _ = try await store.publish(
                    held((round * 100)..<(round * 100 + 100)), missed: 0, of: debugged.sourceID, ring: 7,
                    erasures: 0)
                guard round == 0 else { continue }
                for item in try await store.items(of: debugged.sourceID, after: 0) {
                    #expect(position.advance(to: item) == (true, 0))
                }
            }
            let rows: SQL = "SELECT count(*) AS n FROM ingestion.recent_item"
            #expect(try await debugged.count(rows) == Int(RecentItemStore.window))
            let next = try await store.items(of: debugged.sourceID, after: position.id)
            #expect(next.count == RecentItemStore.page)
            #expect(position.advance(to: try #require(next.first)) == (true, 400))
            #expect(position.advance(to: next[1]) == (true, 0))
            // The same again, as for a watch that has begun since.
            #expect(position.advance(to: try #require(next.first)) == (false, 0))
            await pool.close()
        }
    }

    @Test("minutes later nothing of it lies in the database")
    func pruning() async throws {
        try await Debugged.with { debugged in
            let pool = debugged.database.pool(as: .ingestion, maxConnections: 2)
            let store = RecentItemStore(pool: pool, days: debugged.days)
            try await store.watch(debugged.sourceID, as: DebuggerWatchID(UUIDv7.make(at: noon)))
            _ = try await store.publish(
                held(0..<3), missed: 0, of: debugged.sourceID, ring: 7, erasures: 0)
            #expect(try await store.prune(limit: 10) == 0)
            let owner = debugged.database.pool(maxConnections: 1)
            try await owner.execute(
                "UPDATE ingestion.recent_item SET published_at = published_at - interval '6 minutes'")
            await owner.close()
            #expect(try await store.prune(limit: 10) == 3)
            await pool.close()
        }
    }
}
