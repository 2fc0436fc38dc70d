import Foundation
package import Logging
package import Models
package import Postgres
package import Sealing
import ServiceLifecycle
package import Streams

/// Durable calls to other services: recorded in the transaction that makes them due, made afterwards.
///
/// A call may be made more than once (when the process dies between the answer and its record), and order is
/// not promised: the receiver must be idempotent. A call whose object is gone (410) is done with. One that the receiver
/// refuses for good (4xx other than 401, 403, 404, 408, 409, 425 and 429) is kept with its error and not tried again.
package struct Outbox: Sendable {
    private let schema: String
    private let vault: Vault

    package init(schema: String, vault: Vault) {
        self.schema = schema
        self.vault = vault
    }

    /// The bodies of the calls that are to be made, of all or of some, the oldest first.
    package func bodies(
        to target: ServiceName? = nil, pathContaining path: String = "", in session: some PostgresSession
    ) async throws -> [JSON] {
        let rows = try await session.query(
            """
            SELECT outbox_id, body FROM \(unsafe: schema).outbox
            WHERE position(\(path)::text IN path) > 0 AND target = coalesce(\(target?.rawValue)::text, target)
            ORDER BY outbox_id
            """)
        var bodies: [JSON] = []
        for row in rows {
            let place = Self.place(of: try row.get("outbox_id"), in: schema)
            guard let body = try await vault.days.open(try row.get("body", as: String.self), at: place) else {
                continue
            }
            bodies.append(try JSONParser.parse(Array(body.utf8)[...]))
        }
        return bodies
    }

    /// Where a body is sealed.
    static func place(of id: UUID, in schema: String) -> String { "\(schema).outbox.body \(id.hyphenated)" }

    /// The channel that wakes the worker.
    package static func channel(schema: String) -> String { "outbox_\(schema)" }

    /// Records a call. `path` must hold no personal data: it is logged.
    package func enqueue(
        target: ServiceName, method: String = "POST", path: String, body: JSON,
        in transaction: PostgresTransaction,
        at now: Instant
    ) async throws {
        try await enqueue([(target, method, path, body)], in: transaction, at: now)
    }

    /// Records several calls in one statement.
    package func enqueue(
        _ calls: [(target: ServiceName, method: String, path: String, body: JSON)],
        in transaction: PostgresTransaction, at now: Instant
    ) async throws {
        guard !calls.isEmpty else { return }
        let key = try await vault.days.key(at: now)
        let ids = calls.map { _ in UUIDv7.make(at: now) }
        let bodies = try zip(ids, calls).map { id, call in
            try key.seal(call.body.compact, at: Self.place(of: id, in: schema))
        }
        try await transaction.execute(
            """
            INSERT INTO \(unsafe: schema).outbox
                (outbox_id, target, method, path, body, traceparent, attempts, next_attempt_at, created_at)
            SELECT id, target, method, path, body, \(TraceContext.traceparent)::text, 0, now(), \(now)::timestamptz
            FROM unnest(\(ids)::uuid[], \(calls.map(\.target.rawValue))::text[],
                        \(calls.map(\.method))::text[], \(calls.map(\.path))::text[],
                        \(bodies)::text[]) AS c(id, target, method, path, body)
            """)
        try await transaction.notify(Self.channel(schema: schema))
    }
}

/// Makes the calls of an outbox, oldest first, several at once, retrying with growing pauses for ever.
package final class OutboxWorker: Service {
    private struct Call: Sendable {
        let id: UUID
        let target: ServiceName
        let method: String
        let path: String
        let body: String
        let traceparent: String?
        let attempts: Int
    }

    private static let parallel = 16
    /// How long a claimed call is left alone before another instance may take it as abandoned.
    private static let claim = "30 seconds"
    /// How long a call is waited for: shorter than its claim, and longer than delivery waits for a mail server, or a mail that
    /// went would be asked for again.
    private static let patience = Duration.seconds(25)

    private let schema: String
    private let pool: PostgresPool
    private let hub: WakeHub
    private let http: ServiceHTTPClient
    private let vault: Vault
    private let logger: Logger

    package init(
        schema: String, pool: PostgresPool, hub: WakeHub, http: ServiceHTTPClient, vault: Vault,
        logger: Logger
    ) {
        self.vault = vault
        self.schema = schema
        self.pool = pool
        self.hub = hub
        self.http = http
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.loop() }
    }

    /// Makes every call that is due and returns how many were made; for tests that step by hand.
    @discardableResult
    package func flush() async throws -> Int {
        var total = 0
        while true {
            let calls = try await claimDue()
            if calls.isEmpty { return total }
            await make(calls)
            total += calls.count
        }
    }

    private func loop() async {
        while !Task.isCancelled {
            do {
                let ticket = await hub.ticket([Outbox.channel(schema: schema)])
                let calls = try await claimDue()
                if calls.isEmpty {
                    await hub.wait(ticket, upTo: try await untilNext())
                } else {
                    await make(calls)
                }
            } catch {
                if Task.isCancelled { return }
                logger.debug("outbox is not moving; trying again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Retries follow the machine's clock, also in a rehearsal: a receiver that is away is away in real time.
    private func claimDue() async throws -> [Call] {
        try await pool.query(
            """
            UPDATE \(unsafe: schema).outbox SET next_attempt_at = now() + \(Self.claim)::interval, attempts = attempts + 1
            WHERE outbox_id IN (
                SELECT outbox_id FROM \(unsafe: schema).outbox WHERE next_attempt_at <= now()
                ORDER BY next_attempt_at, outbox_id LIMIT \(Int64(Self.parallel * 4)) FOR UPDATE SKIP LOCKED
            )
            RETURNING outbox_id, target, method, path, body, traceparent, attempts
            """
        ).compactMap { row in
            guard let target = ServiceName(rawValue: try row.get("target", as: String.self)) else {
                return nil
            }
            return Call(
                id: try row.get("outbox_id", as: UUID.self), target: target,
                method: try row.get("method", as: String.self), path: try row.get("path", as: String.self),
                body: try row.get("body", as: String.self),
                traceparent: try row.get("traceparent", as: String?.self),
                attempts: Int(try row.get("attempts", as: Int64.self)))
        }
    }

    private func untilNext() async throws -> Duration {
        let rows = try await pool.query(
            """
            SELECT (extract(epoch FROM min(next_attempt_at) - now()) * 1000)::bigint AS wait
            FROM \(unsafe: schema).outbox WHERE next_attempt_at < 'infinity'
            """)
        let milliseconds = try rows.first?.get("wait", as: Int64?.self)
        return .milliseconds(min(30_000, max(10, milliseconds ?? 30_000)))
    }

    private func make(_ calls: [Call]) async {
        await withTaskGroup(of: Void.self) { group in
            var pending = calls[...]
            for _ in 0..<Self.parallel {
                guard let call = pending.popFirst() else { break }
                group.addTask { await self.make(call) }
            }
            while await group.next() != nil {
                if let call = pending.popFirst() { group.addTask { await self.make(call) } }
            }
        }
    }

    private func make(_ call: Call) async {
        do {
            // The keys of calls are never destroyed while they are still to be made.
            let body =
                try await vault.days.open(call.body, at: Outbox.place(of: call.id, in: schema)) ?? "null"
            let response = try await TraceContext.$traceparent.withValue(call.traceparent) {
                try await http.send(
                    to: call.target, method: call.method, path: call.path, body: Array(body.utf8),
                    headers: ["Idempotency-Key": call.id.uuidString.lowercased()], timeout: Self.patience)
            }
            let isGone = response.status == 410
            if isGone {
                logger.info(
                    "what a call was about is gone, so it is done with",
                    metadata: ["target": "\(call.target)", "path": "\(call.path)"])
            }
            if isGone || (200..<300).contains(response.status) {
                try await pool.execute("DELETE FROM \(unsafe: schema).outbox WHERE outbox_id = \(call.id)")
            } else {
                let retriable =
                    response.status >= 500 || [401, 403, 404, 408, 409, 425, 429].contains(response.status)
                try await postpone(call, error: "status \(response.status)", forGood: !retriable)
            }
        } catch {
            // Also reached when the database is away: the claim then runs out and the call is made again.
            try? await postpone(call, error: "\(type(of: error))", forGood: false)
        }
    }

    private func postpone(_ call: Call, error: String, forGood: Bool) async throws {
        if forGood {
            logger.error(
                "a call was refused for good", metadata: ["target": "\(call.target)", "error": "\(error)"])
        }
        let pause = forGood ? "infinity" : nil
        let seconds = min(60.0, 0.1 * Double(1 << min(call.attempts, 10)))
        try await pool.execute(
            """
            UPDATE \(unsafe: schema).outbox SET last_error = \(error),
                next_attempt_at = coalesce(\(pause)::timestamptz, now() + make_interval(secs => \(seconds)))
            WHERE outbox_id = \(call.id)
            """)
    }
}
