import Foundation
import Logging
import Models
import Postgres
import ServiceKit
import ServiceLifecycle

/// Writes outside of the database what a backup must not bring back: erasures, the hashes of erased identifiers,
/// restrictions and their lifting, denials and withdrawals, how often people want to be written to, and API keys that have ended. `martlet restore` reads it. It holds ids and keyed hashes.
actor RecallList {
    /// The file's name within its directory.
    static let name = "erasures.ndjson"

    private let pool: PostgresPool
    private let clock: ServiceClock
    private let file: URL
    /// What was written lately, and when it happened.
    private var known: [String: Instant] = [:]
    private var latest = Instant.distantPast
    private var hasRead = false

    /// Requests are told of by when they ended, which may be a while after the file was written.
    private static let window = Duration.hours(24)
    private static let pageSize = 20_000

    init(pool: PostgresPool, clock: ServiceClock, directory: URL) {
        self.pool = pool
        self.clock = clock
        file = directory.appending(path: Self.name)
    }

    /// One line of the file.
    private struct Line {
        let key: String
        let at: Instant
        var members: [String: JSON]

        /// An erasure is told once more when it has come to be of more profiles.
        static func key(_ kind: String, _ id: String, _ members: [String: JSON]) -> String {
            kind == "erasure"
                ? "\(kind) \(id) \(members["profileIds"]?.array?.count ?? 0)" : "\(kind) \(id)"
        }

        init(_ kind: String, _ id: String, at: Instant, _ members: [String: JSON]) {
            key = Self.key(kind, id, members)
            self.at = at
            self.members = members
            self.members["kind"] = .string(kind)
            self.members["id"] = .string(id)
            self.members["at"] = .string(at.rfc3339)
        }
    }

    /// When it was read back a whole day what people withdrew. In between it is read what is new alone.
    private var dayRead = Instant.distantPast
    private var lastRead = Instant.distantPast
    private static let dayEvery = Duration.hours(1)
    /// By how much instances may disagree on what time it is, and how long one may take to commit.
    private static let leeway = Duration.minutes(10)

    /// Appends what is new; on disk when it returns. Returns how many lines it was.
    @discardableResult
    func export() async throws -> Int {
        if !hasRead { readBack() }
        // A database that was restored may be earlier than what was written from it before.
        let now = try await clock.now()
        let since = min(latest, now) - Self.window
        let isDay = now - dayRead >= Self.dayEvery || now < lastRead
        var lines = try await requests(since: since) + erasedIdentifiers(since: since)
        lines += try await withdrawals(since: isDay ? since : lastRead - Self.leeway) + endedKeys()
        let new = lines.filter { known[$0.key] == nil }.sorted { $0.at < $1.at }
        guard !new.isEmpty else {
            noteReading(at: now, wholeDay: isDay)
            return 0
        }
        let text = new.map { JSON.object($0.members).compact + "\n" }.joined()
        try DurableFile.append(text, to: file)
        noteReading(at: now, wholeDay: isDay)
        for line in new { known[line.key] = line.at }
        // A key may end in a year; what is yet to come says nothing of how far the list goes.
        latest = max(latest, new.map(\.at).filter { $0 <= now }.max() ?? latest)
        let old = min(latest, now) - Self.window - Self.window
        // What is found again, because it has not ended or was received long ago, is not written again.
        let found = Set(lines.map(\.key))
        known = known.filter { $0.value > old || found.contains($0.key) }
        return new.count
    }

    private func noteReading(at now: Instant, wholeDay: Bool) {
        lastRead = now
        if wholeDay { dayRead = now }
    }

    /// What another run of this process has written.
    private func readBack() {
        hasRead = true
        guard let data = FileManager.default.contents(atPath: file.path) else { return }
        for text in data.split(separator: UInt8(ascii: "\n")) {
            guard let line = try? JSONParser.parse(Array(text)), let kind = line["kind"]?.string,
                let id = line["id"]?.string,
                let at = line["at"]?.string.flatMap({ Instant(rfc3339: $0) })
            else { continue }
            known[Line.key(kind, id, line.object ?? [:])] = at
            latest = max(latest, at)
        }
    }

    private func requests(since: Instant) async throws -> [Line] {
        let rows = try await pool.query(
            """
            SELECT request_id, type, regime, coalesce(verified_at, requested_at) AS at,
                -- Whoever was merged into them before identity erased them went with them.
                CASE WHEN type = 'restriction' THEN profile_ids ELSE ARRAY(
                    SELECT id FROM unnest(profile_ids) AS i(id)
                    UNION
                    SELECT o.profile_id FROM profiles.profile p
                    JOIN profiles.profile o ON o.canonical_id = p.canonical_id AND o.erased_at IS NOT NULL
                    WHERE p.profile_id = ANY(profile_ids)
                    ORDER BY 1) END AS profile_ids
            FROM privacy_request
            WHERE (type IN ('erasure', 'delete') AND state IN ('inProgress', 'completed')
                    OR type = 'restriction' AND state = 'completed')
                AND (ended_at IS NULL OR ended_at > \(since))
            """)
        var lines: [Line] = try rows.map { row in
            let type: String = try row.get("type")
            let profiles: [ProfileID] = try row.get("profile_ids")
            return Line(
                type == "restriction" ? "restriction" : "erasure",
                try row.get("request_id", as: PrivacyRequestID.self).description, at: try row.get("at"),
                [
                    "type": .string(type), "regime": .string(try row.get("regime")),
                    "profileIds": .array(profiles.map { .string($0.description) }),
                ])
        }
        let lifted = try await pool.query(
            "SELECT request_id, at FROM privacy_step WHERE event = 'lifted' AND at > \(since)")
        lines += try lifted.map { row in
            Line(
                "lifting", try row.get("request_id", as: PrivacyRequestID.self).description,
                at: try row.get("at"), [:])
        }
        return lines
    }

    private func erasedIdentifiers(since: Instant) async throws -> [Line] {
        try await pool.query(
            "SELECT shard, type, value_hash, erased_at FROM profiles.erased_identifier WHERE erased_at > \(since)"
        ).map { row in
            let (type, hash): (String, [UInt8]) = (try row.get("type"), try row.get("value_hash"))
            return Line(
                "identifier", "\(type) \(hexadecimal(hash))", at: try row.get("erased_at"),
                [
                    "shard": .integer(try row.get("shard", as: Int64.self)), "type": .string(type),
                    "hash": .string(hexadecimal(hash)),
                ])
        }
    }

    /// API keys that were revoked, or end: a key that has leaked must not be good again. There are few.
    private func endedKeys() async throws -> [Line] {
        try await pool.query(
            """
            SELECT key_id, revoked_at IS NOT NULL AS is_revoked, least(revoked_at, expires_at) AS at
            FROM platform.api_key WHERE revoked_at IS NOT NULL OR expires_at IS NOT NULL
            """
        ).map { row in
            let id = try row.get("key_id", as: APIKeyID.self).description
            let (at, isRevoked): (Instant, Bool) = (try row.get("at"), try row.get("is_revoked"))
            return Line(
                "key", "\(id) \(isRevoked) \(at.rfc3339)", at: at,
                ["keyId": .string(id), "revoked": .bool(isRevoked)])
        }
    }

    /// The ids of entries say when they were recorded.
    private func withdrawals(since: Instant) async throws -> [Line] {
        var after = TypedID<PrivacyRequestTag>(
            UUIDv7.make(at: max(since, Instant(milliseconds: 0)), random: (0, 0)))
        var lines: [Line] = []
        while true {
            let rows = try await pool.query(
                """
                SELECT e.entry_id, e.purpose, e.action, e.source, e.occurred_at, e.recorded_at, e.profile_id
                FROM unnest(\(Shard.all)::smallint[]) AS k(shard) CROSS JOIN LATERAL (
                    SELECT e.*, s.profile_id FROM ledger_entry e
                    JOIN ledger_subject s ON s.shard = e.shard AND s.entry_id = e.entry_id
                    WHERE e.shard = k.shard AND e.entry_id > \(after)
                        AND (e.action <> 'grant' OR e.purpose LIKE 'frequency:%')
                    ORDER BY e.entry_id LIMIT \(Int64(Self.pageSize))
                ) e ORDER BY e.entry_id LIMIT \(Int64(Self.pageSize))
                """)
            for row in rows {
                lines.append(
                    Line(
                        "withdrawal",
                        try row.get("entry_id", as: TypedID<PrivacyRequestTag>.self).description,
                        at: try row.get("recorded_at"),
                        [
                            "profileId": .string(try row.get("profile_id", as: ProfileID.self).description),
                            "purpose": .string(try row.get("purpose")),
                            "action": .string(try row.get("action")),
                            "source": .string(try row.get("source")),
                            "occurredAt": .string(try row.get("occurred_at", as: Instant.self).rfc3339),
                        ]))
            }
            guard rows.count == Self.pageSize, let last = rows.last else { return lines }
            after = try last.get("entry_id")
        }
    }
}

/// Has the list written again and again, and once more at the end.
struct RecallExport: Service {
    let list: RecallList
    let every: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await export()
                try? await Task.sleep(for: every)
            }
        }
        // This task may be cancelled, and would be refused a connection.
        await Task.detached { await export() }.value
    }

    private func export() async {
        do {
            try await list.export()
        } catch {
            if Task.isCancelled { return }
            logger.warning(
                "what a backup must not bring back is not written down", metadata: ["error": "\(error)"])
        }
    }
}
