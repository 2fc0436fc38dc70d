import Models
import Postgres

/// One look at an installation's database, in one statement and so at one instant: what is still on its way.
struct PlatformLook: Sendable, Equatable {
    /// A consumer that has records before it.
    struct Lag: Sendable, Equatable {
        let service: String
        let consumer: String
        let stream: String
        let records: Int64
    }

    var lags: [Lag] = []
    /// Calls in outboxes that are still to be made, by service.
    var outbox: [String: Int64] = [:]
    /// Deadlines whose time has come, by service.
    var due: [String: Int64] = [:]
    /// Files that are being taken in, by service.
    var imports: [String: Int64] = [:]
    /// The earliest deadline of all, rounded up to the millisecond that a clock can show.
    var earliestDeadline: Instant?
    /// How many records all streams have, so that two looks can be told apart.
    var records: Int64 = 0
    /// The installation's time: the rehearsal's clock, or PostgreSQL's.
    var now = Instant.distantPast

    /// Nothing is on its way: every file is taken in, every stream read to its end, every call made, every due deadline
    /// fired.
    var isDrained: Bool { imports.isEmpty && lags.isEmpty && outbox.isEmpty && due.isEmpty }

    /// What is on its way, for a person who waits.
    var waitingFor: String {
        (imports.map { "\($0.key) has \($0.value) files to take in" }
            + lags.map { "\($0.consumer) has \($0.records) of \($0.stream) before it" }
            + outbox.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value) calls to make" }
            + due.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value) deadlines to fire" })
            .joined(separator: "; ")
    }
}

/// Takes looks.
struct PlatformObserver: Sendable {
    /// Which services read which streams, also before they have read anything.
    static let readers: [(stream: String, services: [ServiceName])] = [
        ("events", [.identity]),
        ("profile-events", [.consent, .segmentation, .recommendation, .journeys]),
        ("consents", [.segmentation]),
        ("memberships", [.journeys]),
        ("intents", [.delivery]),
        ("privacy-requests", ServiceName.deployed),
    ]

    private let pool: PostgresPool
    private let statement: SQL

    /// Finds out which of the standard tables are there.
    init(pool: PostgresPool) async throws {
        self.pool = pool
        let rows = try await pool.query(
            """
            SELECT n.nspname AS schema, array_agg(c.relname::text) AS tables
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND c.relname IN ('stream_head', 'stream_checkpoint', 'outbox', 'deadline', 'import')
              AND n.nspname = ANY(\(ServiceName.allCases.map(\.schema))::text[])
            GROUP BY n.nspname
            """)
        var tables: [String: [String]] = [:]
        for row in rows {
            tables[try row.get("schema", as: String.self)] = try row.get("tables", as: [String].self)
        }
        let known = tables
        func schemas(_ table: String) -> [String] {
            known.filter { $0.value.contains(table) }.keys.sorted()
        }
        guard !schemas("stream_head").isEmpty else {
            throw CommandProblem(
                "the database holds no tables of Martlet; run `martlet migrate` or `martlet up`")
        }
        statement = Self.statement(
            streams: schemas("stream_head"), outboxes: schemas("outbox"), deadlines: schemas("deadline"),
            files: schemas("import"))
    }

    private static func union(_ schemas: [String], _ select: (String) -> String, none: String) -> String {
        schemas.isEmpty ? none : schemas.map(select).joined(separator: " UNION ALL ")
    }

    private static func statement(
        streams: [String], outboxes: [String], deadlines: [String], files: [String]
    ) -> SQL {
        // Schema names come from ServiceName, so nothing of a user's is spliced in.
        let heads = union(
            streams, { "SELECT stream, shard, next_offset - 1 AS last FROM \($0).stream_head" },
            none: "SELECT ''::text, 0::smallint, 0::bigint WHERE false")
        let checkpoints = union(
            streams,
            { "SELECT '\($0)' AS service, consumer, stream, shard, \"offset\" FROM \($0).stream_checkpoint" },
            none: "")
        let expected = readers.flatMap { reader in
            reader.services.filter { streams.contains($0.schema) }.map {
                "('\($0.rawValue)', '\(reader.stream)')"
            }
        }.joined(separator: ", ")
        let outbox = union(
            outboxes,
            {
                "SELECT '\($0)' AS service, count(*) AS calls FROM \($0).outbox WHERE next_attempt_at < 'infinity'"
            },
            none: "SELECT ''::text AS service, 0::bigint AS calls WHERE false")
        let deadline = union(
            deadlines,
            {
                """
                SELECT '\($0)' AS service, min(due_at) AS earliest,
                       count(*) FILTER (WHERE due_at <= (SELECT now FROM present)) AS due FROM \($0).deadline
                """
            }, none: "SELECT ''::text AS service, NULL::timestamptz AS earliest, 0::bigint AS due WHERE false"
        )
        let imports = union(
            files,
            { "SELECT '\($0)' AS service, count(*) AS files FROM \($0).import WHERE state = 'running'" },
            none: "SELECT ''::text AS service, 0::bigint AS files WHERE false")
        return SQL(
            unsafe: """
                WITH present AS (SELECT coalesce((SELECT now FROM platform.clock), now()) AS now),
                heads AS (\(heads)),
                checkpoints AS (\(checkpoints)),
                consumers AS (
                    SELECT DISTINCT service, consumer, stream FROM checkpoints
                    UNION SELECT service, service, stream FROM (VALUES \(expected)) e(service, stream)
                    WHERE NOT EXISTS (SELECT FROM checkpoints c WHERE c.service = e.service AND c.stream = e.stream)
                ),
                lags AS (
                    SELECT k.service, k.consumer, k.stream, sum(greatest(0, h.last - coalesce(c."offset", 0))) AS records
                    FROM consumers k JOIN heads h USING (stream)
                    LEFT JOIN checkpoints c ON c.service = k.service AND c.consumer = k.consumer
                        AND c.stream = k.stream AND c.shard = h.shard
                    GROUP BY k.service, k.consumer, k.stream
                ),
                deadlines AS (\(deadline))
                SELECT 'lag' AS kind, service, consumer, stream, records::bigint AS number, NULL::timestamptz AS at
                FROM lags WHERE records > 0
                UNION ALL SELECT 'outbox', service, NULL, NULL, calls, NULL FROM (\(outbox)) o WHERE calls > 0
                UNION ALL SELECT 'import', service, NULL, NULL, files, NULL FROM (\(imports)) i WHERE files > 0
                UNION ALL SELECT 'due', service, NULL, NULL, due, NULL FROM deadlines WHERE due > 0
                UNION ALL SELECT 'earliest', NULL, NULL, NULL, NULL,
                    date_trunc('milliseconds', min(earliest) + interval '999 microseconds') FROM deadlines
                UNION ALL SELECT 'records', NULL, NULL, NULL, coalesce(sum(last), 0)::bigint, NULL FROM heads
                UNION ALL SELECT 'now', NULL, NULL, NULL, NULL, now FROM present
                """)
    }

    /// Looks once.
    func look() async throws -> PlatformLook {
        var look = PlatformLook()
        for row in try await pool.query(statement) {
            let service = try row.get("service", as: String?.self) ?? ""
            let number = try row.get("number", as: Int64?.self) ?? 0
            switch try row.get("kind", as: String.self) {
            case "lag":
                look.lags.append(
                    PlatformLook.Lag(
                        service: service, consumer: try row.get("consumer", as: String.self),
                        stream: try row.get("stream", as: String.self), records: number))
            case "outbox": look.outbox[service] = number
            case "due": look.due[service] = number
            case "import": look.imports[service] = number
            case "earliest": look.earliestDeadline = try row.get("at", as: Instant?.self)
            case "records": look.records = number
            default: look.now = try row.get("at", as: Instant.self)
            }
        }
        return look
    }

    /// Waits until two looks in a row find nothing on its way and nothing new; returns the last.
    ///
    /// - Parameter patience: how long without any progress before it gives up; nil waits for ever.
    func drained(
        patience: Duration? = nil, waiting: @Sendable (PlatformLook) -> Void = { _ in }
    ) async throws -> PlatformLook {
        var last: PlatformLook?
        var moved = ContinuousClock.now
        var said = ContinuousClock.now
        var pause = Duration.milliseconds(4)
        while true {
            let look: PlatformLook
            do { look = try await self.look() } catch let error as PostgresError where error.isTransient {
                try await Task.sleep(for: .milliseconds(200))
                continue
            }
            if look.isDrained, let last, last.isDrained, last.records == look.records { return look }
            if look != last { moved = .now }
            if let patience, ContinuousClock.now - moved > patience {
                throw CommandProblem(
                    "nothing moved for \(patience.text): \(look.waitingFor); see `martlet doctor`")
            }
            if ContinuousClock.now - said > .seconds(2) {
                said = .now
                waiting(look)
            }
            last = look
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(50))
        }
    }
}
