import Foundation
import IngestionDomain
import Models
import Postgres
import Sealing

enum DebuggerWatchTag {}
/// Somebody who watches a source.
typealias DebuggerWatchID = TypedID<DebuggerWatchTag>

/// An item that was published.
struct PublishedItem: Sendable {
    let id: Int64
    let ring: Int64
    let number: Int64
    /// Items before it that are not told by the numbers.
    let missed: Int64
    let verdict: String
    let event: String?
    let body: String
}

/// The SQL of the live debugger: who watches, and what was published for them.
struct RecentItemStore: Sendable {
    /// Somebody begins to watch, or somebody was erased.
    static let watchChannel = "ingestion_debugger_watch"
    /// Items were published.
    static let itemChannel = "ingestion_debugger_item"

    /// For how long a watch counts unless it is renewed, by the machine's clock.
    static let lease = "30 seconds"
    /// Items of a ring that lie in the table at most.
    static let window: Int64 = 300
    /// Rows of one answer.
    static let page = 200

    let pool: PostgresPool
    let days: DayKeys

    enum Published: Sendable {
        case published
        /// Nobody watches any more.
        case unwatched
        /// Somebody was erased since; what was held is not good any more.
        case erased
    }

    /// Publishes what is not there yet; `missed` items came before the first of them. Publishers of a source come one
    /// after the other, so that the order of the ids is that of the commits and nobody who reads on from an id misses
    /// one.
    func publish(
        _ items: [RecentItem], missed: Int64, of source: SourceID, ring: Int64, erasures: Int64
    ) async throws -> Published {
        guard let newest = items.map(\.receivedAt).max() else { return .published }
        let key = try await days.key(at: newest)
        let bodies = try items.map {
            try key.seal($0.body, at: Self.place(of: $0.number, in: ring, of: source))
        }
        return try await pool.transaction { transaction in
            let isWatched = try await transaction.query(
                """
                SELECT pg_advisory_xact_lock(hashtextextended(\("martlet.debugger.\(source)"), 0))
                FROM debugger_watch WHERE source_id = \(source) AND until > now() LIMIT 1
                """)
            guard !isWatched.isEmpty else { return .unwatched }
            // An erasure waits for this, or this for the erasure.
            let isGood = try await transaction.query(
                "SELECT FROM recent_erasure WHERE erasures = \(erasures) FOR SHARE")
            guard !isGood.isEmpty else { return .erased }
            let numbers = items.map(\.number)
            try await transaction.execute(
                """
                INSERT INTO recent_item (source_id, ring, number, missed, received_at, verdict, event, body)
                SELECT \(source)::uuid, \(ring)::bigint, number,
                    CASE number WHEN \(numbers.first ?? 0)::bigint THEN \(missed)::bigint ELSE 0 END,
                    received_at, verdict, event, body
                FROM unnest(\(numbers)::bigint[], \(items.map(\.receivedAt))::timestamptz[],
                    \(items.map(\.verdict))::text[], \(items.map(\.event))::text[], \(bodies)::text[])
                    AS i (number, received_at, verdict, event, body)
                ORDER BY number ON CONFLICT (source_id, ring, number) DO NOTHING
                """)
            try await transaction.execute(
                """
                DELETE FROM recent_item WHERE source_id = \(source) AND ring = \(ring)
                  AND number <= \((numbers.last ?? 0) - Self.window)
                """)
            try await transaction.notify(Self.itemChannel, payload: source.description)
            return .published
        }
    }

    /// Who watches what, and how often somebody was erased.
    func standing() async throws -> (watches: [DebuggerWatchID: SourceID], erasures: Int64) {
        try await pool.transaction { transaction in
            // In this order: a watch that is seen is never published for with what an erasure before it forbids.
            let watches = try await transaction.query(
                "SELECT watch_id, source_id FROM debugger_watch WHERE until > now()")
            let erasures = try await transaction.query("SELECT erasures FROM recent_erasure")
            return (
                Dictionary(
                    try watches.map { (try $0.get("watch_id"), try $0.get("source_id")) },
                    uniquingKeysWith: { first, _ in first }),
                try erasures.first?.get("erasures") ?? 0
            )
        }
    }

    // MARK: Watching

    /// Begins to watch, and tells every instance to publish what it holds.
    func watch(_ source: SourceID, as id: DebuggerWatchID) async throws {
        try await pool.transaction { transaction in
            try await transaction.execute(
                """
                INSERT INTO debugger_watch (watch_id, source_id, until)
                VALUES (\(id), \(source), now() + \(Self.lease)::interval)
                ON CONFLICT (watch_id) DO UPDATE SET until = excluded.until
                """)
            try await transaction.notify(Self.watchChannel, payload: source.description)
        }
    }

    /// Goes on watching; false when the watch had run out, or was lost.
    func renew(_ id: DebuggerWatchID) async throws -> Bool {
        try await pool.execute(
            """
            UPDATE debugger_watch SET until = now() + \(Self.lease)::interval
            WHERE watch_id = \(id) AND until > now()
            """) == 1
    }

    func unwatch(_ id: DebuggerWatchID) async throws {
        try await pool.execute("DELETE FROM debugger_watch WHERE watch_id = \(id)")
    }

    /// Items that were published after an id, in the order of their publication.
    func items(of source: SourceID, after id: Int64) async throws -> [PublishedItem] {
        let rows = try await pool.query(
            """
            SELECT recent_id, ring, number, missed, verdict, event, body FROM recent_item
            WHERE source_id = \(source) AND recent_id > \(id) ORDER BY recent_id LIMIT \(Int64(Self.page))
            """)
        return try await published(rows, of: source)
    }

    /// The last items that pass, oldest first, and where everything published stood then.
    func last(
        _ count: Int, of source: SourceID, _ filter: RecentItemFilter
    ) async throws -> (items: [PublishedItem], position: WatchPosition) {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            let rows = try await transaction.query(
                """
                SELECT recent_id, ring, number, missed, verdict, event, body FROM recent_item
                WHERE source_id = \(source)
                  AND (\(filter.verdicts.isEmpty) OR verdict = ANY(\(filter.verdicts.sorted())::text[]))
                  AND (\(filter.event)::text IS NULL OR event = \(filter.event)::text)
                ORDER BY received_at DESC, ring DESC, number DESC LIMIT \(Int64(count))
                """)
            let items = try await published(rows, of: source)
            return (items.reversed(), try await Self.position(of: source, upTo: .max, in: transaction))
        }
    }

    private func published(_ rows: [PostgresRow], of source: SourceID) async throws -> [PublishedItem] {
        var items: [PublishedItem] = []
        for row in rows {
            let place = Self.place(of: try row.get("number"), in: try row.get("ring"), of: source)
            items.append(
                try PublishedItem(
                    row, body: try await days.open(try row.get("body", as: String.self), at: place) ?? "{}"))
        }
        return items
    }

    /// Where the body of an item is sealed.
    private static func place(of number: Int64, in ring: Int64, of source: SourceID) -> String {
        "ingestion.recent_item.body \(source) \(ring) \(number)"
    }

    /// Where a watcher stood who has seen everything up to an id; nil when that isn't known any more.
    func position(of source: SourceID, at id: Int64) async throws -> WatchPosition? {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            let known = try await transaction.query(
                "SELECT FROM recent_item WHERE source_id = \(source) AND recent_id = \(id)")
            guard !known.isEmpty else { return nil }
            return try await Self.position(of: source, upTo: id, in: transaction)
        }
    }

    private static func position(
        of source: SourceID, upTo id: Int64, in transaction: PostgresTransaction
    ) async throws -> WatchPosition {
        var position = WatchPosition()
        for row in try await transaction.query(
            """
            SELECT ring, max(number) AS number, max(recent_id) AS recent_id FROM recent_item
            WHERE source_id = \(source) AND recent_id <= \(id) GROUP BY ring
            """)
        {
            position.seen[try row.get("ring")] = try row.get("number", as: Int64.self)
            position.id = max(position.id, try row.get("recent_id"))
        }
        return position
    }

    // MARK: Forgetting

    /// Takes everything back that was published, and has every instance forget what it holds.
    static func erase(in transaction: PostgresTransaction) async throws {
        try await transaction.execute("UPDATE recent_erasure SET erasures = erasures + 1")
        try await transaction.execute("DELETE FROM recent_item")
        try await transaction.notify(watchChannel)
    }

    /// Forgets some of what was published minutes ago, and watches that have run out; returns how many items.
    func prune(limit: Int) async throws -> Int {
        try await pool.execute("DELETE FROM debugger_watch WHERE until < now() - interval '1 minute'")
        return try await pool.execute(
            """
            DELETE FROM recent_item WHERE (source_id, recent_id) IN (
                SELECT source_id, recent_id FROM recent_item WHERE published_at < now() - interval '5 minutes'
                LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
            """)
    }
}

extension PublishedItem {
    fileprivate init(_ row: PostgresRow, body: String) throws {
        id = try row.get("recent_id")
        ring = try row.get("ring")
        number = try row.get("number")
        missed = try row.get("missed")
        verdict = try row.get("verdict")
        event = try row.get("event", as: String?.self)
        self.body = body
    }
}
