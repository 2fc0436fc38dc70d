package import Logging
import Metrics
package import Models
package import Postgres
package import Sealing
import ServiceLifecycle

/// Some consecutive records of one or more shards, in ascending offset per shard, to be taken in one transaction.
package struct StreamBatch: Sendable {
    package let records: [StreamRecord]
    /// The installation's time when the batch is processed.
    package let now: Instant

    package init(records: [StreamRecord], now: Instant) {
        self.records = records
        self.now = now
    }
}

/// Reads a stream and lets each record take effect exactly once.
///
/// The effects and the checkpoint are one transaction. Whatever is killed, whenever: a record's effects are
/// there if and only if the checkpoint is past it. A record that keeps failing goes to `stream_quarantine`
/// with the error, and the shard moves on; a database or a service that is away only makes it wait.
package final class StreamConsumer: Service {
    /// Does a batch's effects in the transaction. It may run again for the same batch after a rollback.
    package typealias Process = @Sendable (StreamBatch, PostgresTransaction) async throws -> Void
    /// Does what follows from giving a record up, in the transaction that puts it into quarantine.
    package typealias GiveUp =
        @Sendable (StreamRecord, any Error, Instant, PostgresTransaction) async throws -> Void

    /// Small batches come no closer than this: a lone record is taken at once, but a steady trickle is gathered, or
    /// each record would cost a round of requests and a transaction in every service that follows.
    private static let pace = Duration.milliseconds(10)

    package let name: String
    package let stream: StreamDefinition
    private let reader: any StreamReader
    private let pool: PostgresPool
    private let schema: String
    private let batch: Int
    private let lanes: Int
    private let now: @Sendable () async throws -> Instant
    private let vault: Vault?
    private let logger: Logger
    private let process: Process
    private let giveUp: GiveUp?
    private let leases: ShardLeases
    private let wait: Duration
    private let recordsCounter: Counter
    private let quarantineCounter: Counter

    /// `schema` is the consuming service's own, which holds checkpoints and quarantine, this sealed with its vault. Where it is
    /// behind, a page of `batch` records is taken in so many transactions at once as there are `lanes`, each of shards of its
    /// own: while one waits for the database, another decides.
    package init(
        name: String, stream: StreamDefinition, reader: any StreamReader, pool: PostgresPool, schema: String,
        batch: Int = 500, lanes: Int = 1, wait: Duration = .seconds(5),
        now: @escaping @Sendable () async throws -> Instant,
        vault: Vault? = nil, logger: Logger, process: @escaping Process, giveUp: GiveUp? = nil
    ) {
        self.name = name
        self.stream = stream
        self.reader = reader
        self.pool = pool
        self.schema = schema
        self.batch = batch
        self.lanes = lanes
        self.wait = wait
        self.now = now
        self.vault = vault
        var logger = logger
        logger[metadataKey: "consumer"] = "\(name)"
        logger[metadataKey: "stream"] = "\(stream.name)"
        self.logger = logger
        self.process = process
        self.giveUp = giveUp
        leases = ShardLeases(consumer: name, stream: stream.name, pool: pool, logger: logger)
        let dimensions = [("consumer", name), ("stream", stream.name)]
        recordsCounter = Counter(label: "martlet_stream_records_total", dimensions: dimensions)
        quarantineCounter = Counter(label: "martlet_stream_quarantined_total", dimensions: dimensions)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.loop() }
        await leases.release()
    }

    /// What the publisher has appended so far; fails when it is away.
    func heads() async throws -> [Shard: Int64] { try await reader.heads(stream) }

    /// The same; empty when the publisher is away.
    func publishedHeads() async -> [Shard: Int64] {
        do { return try await heads() } catch { return [:] }
    }

    /// Whether everything up to those offsets is processed, by whichever instance.
    func hasProcessed(_ heads: [Shard: Int64]) async throws -> Bool {
        let positions = try await processed(in: pool)
        return heads.allSatisfy { (positions[$0.key] ?? 0) >= $0.value }
    }

    /// Up to where each shard is processed, by whichever instance; those of which nothing is are left out.
    func processed(in session: some PostgresSession) async throws -> [Shard: Int64] {
        let rows = try await session.query(
            """
            SELECT shard, "offset" FROM \(unsafe: schema).stream_checkpoint
            WHERE consumer = \(name) AND stream = \(stream.name)
            """)
        return try Dictionary(
            rows.map { (try $0.get("shard", as: Shard.self), try $0.get("offset", as: Int64.self)) },
            uniquingKeysWith: max)
    }

    /// Processes what there is now, without waiting and without leases; for tests that step by hand.
    /// Returns how many records took effect.
    @discardableResult
    package func drain() async throws -> Int {
        var total = 0
        var positions = try await processed(in: pool)
        for shard in Shard.all where positions[shard] == nil { positions[shard] = 0 }
        while true {
            let records = try await reader.read(stream, after: positions, limit: batch, wait: .zero)
            if records.isEmpty { return total }
            if isBehind(records) {
                try await takeInLanes(records, from: &positions)
            } else {
                try await take(records, from: &positions)
            }
            total += records.count
        }
    }

    // MARK: The loop

    private func loop() async {
        var positions: [Shard: Int64] = [:]
        var backoff = Backoff()
        // The next page, read while this one was processed.
        var ahead: (held: Set<Shard>, records: [StreamRecord])?
        while !Task.isCancelled {
            do {
                let held = try await leases.rebalance(every: .seconds(1))
                try await follow(held, positions: &positions)
                if held.isEmpty {
                    try await Task.sleep(for: .milliseconds(500))
                    continue
                }
                let records: [StreamRecord]
                if let read = ahead, read.held == held, !read.records.isEmpty {
                    records = read.records
                } else {
                    records = try await reader.read(stream, after: positions, limit: batch, wait: wait)
                }
                ahead = nil
                let came = ContinuousClock.now
                if isBehind(records) {
                    // There is more: what comes next is read meanwhile, so that neither side waits for the other.
                    let following = Self.positions(positions, after: records)
                    async let next = reader.read(stream, after: following, limit: batch, wait: .zero)
                    try await takeInLanes(records, from: &positions)
                    ahead = (held, try await next)
                } else {
                    try await take(records, from: &positions)
                }
                backoff.reset()
                if records.count < batch / 4 { try await Task.sleep(until: came + Self.pace) }
            } catch {
                if Task.isCancelled { return }
                // Whatever was in memory may be wrong now: start again from what is committed.
                positions = [:]
                ahead = nil
                if case StreamError.leaseLost = error { await leases.release() }
                let pause = backoff.next()
                logger.log(
                    level: backoff.attempts > 3 ? .warning : .debug, "stream is not moving; trying again",
                    metadata: ["error": "\(error)", "pause": "\(pause)"])
                try? await Task.sleep(for: pause)
            }
        }
    }

    private static func positions(
        _ positions: [Shard: Int64], after records: [StreamRecord]
    ) -> [Shard: Int64] {
        var after = positions
        for record in records { after[record.shard] = record.offset }
        return after
    }

    /// Keeps positions for exactly the shards held, reading the checkpoints of newly leased ones.
    private func follow(_ held: Set<Shard>, positions: inout [Shard: Int64]) async throws {
        guard Set(positions.keys) != held else { return }
        let committed = try await processed(in: pool)
        positions = Dictionary(uniqueKeysWithValues: held.map { ($0, committed[$0] ?? 0) })
    }

    // MARK: Taking effect

    /// Whether there is hardly all that there is on a page: a few records are better taken together.
    private func isBehind(_ page: [StreamRecord]) -> Bool { page.count * 2 > batch }

    /// Takes the records of some shards beside those of others. What one lane has committed when another fails is found in
    /// the checkpoints again.
    private func takeInLanes(_ records: [StreamRecord], from positions: inout [Shard: Int64]) async throws {
        guard lanes > 1 else { return try await take(records, from: &positions) }
        let parts = Self.lanes(of: records, lanes)
        let before = positions
        positions = try await withThrowingTaskGroup(of: [Shard: Int64].self) { group in
            for part in parts {
                group.addTask {
                    var after = before
                    try await self.take(part, from: &after)
                    return after
                }
            }
            var reached = before
            for try await after in group { reached.merge(after) { max($0, $1) } }
            return reached
        }
    }

    /// The records in so many parts of about as many records, each with whole shards in their order.
    package static func lanes(of records: [StreamRecord], _ count: Int) -> [[StreamRecord]] {
        let shards = Dictionary(grouping: records, by: \.shard).sorted {
            ($1.value.count, $0.key) < ($0.value.count, $1.key)
        }
        var parts = [[StreamRecord]](repeating: [], count: count)
        for (_, own) in shards {
            let least = parts.indices.min { parts[$0].count < parts[$1].count } ?? 0
            parts[least] += own
        }
        return parts.filter { !$0.isEmpty }
    }

    /// Takes the records, splitting around one that cannot be taken until it alone is left.
    private func take(_ records: [StreamRecord], from positions: inout [Shard: Int64]) async throws {
        guard !records.isEmpty else { return }
        do {
            try await commit(records, from: &positions) { try await self.process($0, $1) }
            recordsCounter.increment(by: records.count)
        } catch {
            guard Self.isPermanent(error) else { throw error }
            if records.count > 1 {
                let middle = records.count / 2
                try await take(Array(records[..<middle]), from: &positions)
                try await take(Array(records[middle...]), from: &positions)
            } else {
                try await quarantine(records[0], because: error, from: &positions)
            }
        }
    }

    private func commit(
        _ records: [StreamRecord], from positions: inout [Shard: Int64], effects: Process
    ) async throws {
        var after = positions
        for record in records {
            let expected = (after[record.shard] ?? 0) + 1
            guard record.offset == expected else {
                throw StreamError.badPage(
                    stream: stream.name,
                    reason: "shard \(record.shard.number) has \(record.offset) where \(expected) was expected"
                )
            }
            after[record.shard] = record.offset
        }
        let before = positions
        let batch = StreamBatch(records: records, now: try await now())
        let touched = Set(records.map(\.shard)).sorted()
        // A batch of several traces belongs to none: what must keep its own carries `traceparent` by record.
        let traces = Set(records.map(\.traceparent))
        try await TraceContext.$traceparent.withValue(traces.count == 1 ? records[0].traceparent : nil) {
            try await pool.transaction { transaction in
                try await self.moveCheckpoints(touched, from: before, to: after, in: transaction)
                try await effects(batch, transaction)
            }
        }
        positions = after
    }

    /// Moves the checkpoints on, only from where this instance read them: the fence against a lost lease.
    ///
    /// It comes before the effects, so that a second instance waits here and then stops, instead of racing them.
    private func moveCheckpoints(
        _ shards: [Shard], from before: [Shard: Int64], to after: [Shard: Int64],
        in transaction: PostgresTransaction
    ) async throws {
        let known = shards.filter { before[$0] ?? 0 > 0 }
        let new = shards.filter { before[$0] ?? 0 == 0 }
        var statements: [SQL] = []
        if !known.isEmpty {
            // Locked in one order, so that two instances never wait for each other.
            statements.append(
                """
                WITH held AS MATERIALIZED (
                    SELECT c.shard, w.after
                    FROM unnest(\(binary: known), \(binary: known.map { before[$0] ?? 0 }),
                                \(binary: known.map { after[$0] ?? 0 })) AS w (shard, before, after)
                    JOIN \(unsafe: schema).stream_checkpoint c ON c.shard = w.shard AND c."offset" = w.before
                    WHERE c.consumer = \(name) AND c.stream = \(stream.name)
                    ORDER BY c.shard
                    FOR UPDATE OF c
                )
                UPDATE \(unsafe: schema).stream_checkpoint c SET "offset" = h.after, updated_at = now()
                FROM held h
                WHERE c.shard = h.shard AND c.consumer = \(name) AND c.stream = \(stream.name)
                RETURNING c.shard
                """)
        }
        if !new.isEmpty {
            statements.append(
                """
                INSERT INTO \(unsafe: schema).stream_checkpoint AS c (consumer, stream, shard, "offset", updated_at)
                SELECT \(name), \(stream.name), w.shard, w.after, now()
                FROM unnest(\(binary: new), \(binary: new.map { after[$0] ?? 0 })) AS w (shard, after)
                ORDER BY w.shard
                ON CONFLICT (shard, consumer, stream) DO UPDATE
                SET "offset" = excluded."offset", updated_at = now()
                WHERE c."offset" = 0
                RETURNING c.shard
                """)
        }
        let moved = try await transaction.pipeline(statements).flatMap { rows in
            try rows.map { try $0.get("shard", as: Shard.self) }
        }
        let lost = Set(shards).subtracting(moved).sorted()
        guard lost.isEmpty else { throw StreamError.leaseLost(stream: stream.name, shards: lost) }
    }

    private func quarantine(
        _ record: StreamRecord, because error: any Error, from positions: inout [Shard: Int64]
    ) async throws {
        try await commit([record], from: &positions) { batch, transaction in
            let place = Self.quarantinePlace(of: record, consumer: self.name, schema: self.schema)
            let key = try await self.vault?.days.key(at: batch.now)
            let body = try key?.seal(record.body.compact, at: place) ?? record.body.compact
            // The error's own words may repeat a value of the record.
            let words = try key?.seal("\(error)", at: place + " error") ?? "\(error)"
            let reason = "\(type(of: error)): \(words)"
            try await transaction.execute(
                """
                INSERT INTO \(unsafe: self.schema).stream_quarantine
                    (consumer, stream, shard, "offset", key, recorded_at, body, error, quarantined_at)
                VALUES (\(self.name), \(self.stream.name), \(record.shard.number), \(record.offset),
                        \(record.key), \(record.recordedAt), \(body), \(reason), \(batch.now))
                ON CONFLICT DO NOTHING
                """)
            try await self.giveUp?(record, error, batch.now, transaction)
        }
        quarantineCounter.increment()
        logger.error(
            "record quarantined",
            metadata: [
                "shard": "\(record.shard.number)", "offset": "\(record.offset)",
                "error": "\(type(of: error))",
            ])
    }

    /// Where the body of a record is sealed that was put aside.
    private static func quarantinePlace(of record: StreamRecord, consumer: String, schema: String) -> String {
        "\(schema).stream_quarantine \(consumer) \(record.shard.number) \(record.offset)"
    }

    /// Whether trying the same record again would fail the same way.
    private static func isPermanent(_ error: any Error) -> Bool {
        switch error {
        case is CancellationError, is RetryLater, is StreamError: false
        case let error as PostgresError: !error.isTransient
        default: true
        }
    }
}

/// Growing pauses between attempts: 50 ms, doubling up to 5 s.
struct Backoff {
    private(set) var attempts = 0

    mutating func next() -> Duration {
        attempts += 1
        return .milliseconds(min(5_000, 50 << min(attempts - 1, 7)))
    }

    mutating func reset() { attempts = 0 }
}
