package import Models
package import Postgres

/// The SQL of audit logs.
package struct AuditStore: Sendable {
    let log: AuditLog

    package init(_ log: AuditLog) { self.log = log }

    private var head: SQL { SQL(unsafe: "\(log.schema).audit_head") }
    private var entry: SQL { SQL(unsafe: "\(log.schema).audit_entry") }
    private var anchor: SQL { SQL(unsafe: "\(log.schema).audit_anchor") }

    private static let columns = SQL(
        unsafe: """
            e.shard, e.position, e.at, e.actor, e.action, e.route, e.subjects, e.target, e.reason, e.outcome, e.status,
            e.previous_hash, e.hash
            """)

    /// Appends entries in their order. The ends of their chains are locked until the transaction ends, in ascending order and
    /// after everything else that it locks.
    package func append(
        _ entries: [AuditEntry], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !entries.isEmpty else { return }
        var ends = try await lock(Set(entries.map(\.shard)), in: transaction)
        var links: [AuditLink] = []
        for entry in entries {
            let shard = entry.shard
            let end = ends[shard] ?? (0, log.genesis(of: shard))
            var link = AuditLink(
                shard: shard, position: end.position + 1, at: now, entry: entry, previousHash: end.hash,
                hash: [])
            link.hash = AuditLog.sha256(link.canonicalBytes())
            ends[shard] = (link.position, link.hash)
            links.append(link)
        }
        try await write(links, ends, in: transaction)
    }

    private func lock(
        _ shards: Set<Shard>, in transaction: PostgresTransaction
    ) async throws -> [Shard: (position: Int64, hash: [UInt8])] {
        let wanted = shards.sorted()
        let replies = try await transaction.pipeline(
            wanted.map { shard in
                """
                INSERT INTO \(head) AS h (shard, position, hash) VALUES (\(shard), 0, \(log.genesis(of: shard)))
                ON CONFLICT (shard) DO UPDATE SET position = h.position RETURNING position, hash
                """
            })
        var ends: [Shard: (position: Int64, hash: [UInt8])] = [:]
        for (shard, rows) in zip(wanted, replies) {
            if let row = rows.first { ends[shard] = (try row.get("position"), try row.get("hash")) }
        }
        return ends
    }

    private func write(
        _ links: [AuditLink], _ ends: [Shard: (position: Int64, hash: [UInt8])],
        in transaction: PostgresTransaction
    ) async throws {
        // Arrays of arrays have to be of one length, so those of profiles travel as text.
        let subjects = links.map { link in
            "{" + link.entry.subjects.map(\.description).joined(separator: ",") + "}"
        }
        var statements: [SQL] = [
            """
            INSERT INTO \(entry) (shard, position, at, actor, action, route, subjects, target, reason, outcome, status,
                previous_hash, hash)
            SELECT r.shard, r.position, r.at, r.actor, r.action, r.route, r.subjects::uuid[], r.target, r.reason, r.outcome,
                r.status, r.previous_hash, r.hash
            FROM unnest(\(links.map(\.shard))::smallint[], \(links.map(\.position))::bigint[],
                \(links.map(\.at))::timestamptz[], \(links.map(\.entry.actor))::text[],
                \(links.map(\.entry.action.rawValue))::text[], \(links.map(\.entry.route))::text[], \(subjects)::text[],
                \(links.map(\.entry.target))::text[], \(links.map(\.entry.reason))::text[],
                \(links.map(\.entry.outcome.rawValue))::text[],
                \(links.map { $0.entry.status.map { Int64($0) } })::bigint[], \(links.map(\.previousHash))::bytea[],
                \(links.map(\.hash))::bytea[])
                AS r(shard, position, at, actor, action, route, subjects, target, reason, outcome, status, previous_hash, hash)
            """
        ]
        for (shard, end) in ends {
            statements.append(
                "UPDATE \(head) SET position = \(end.position), hash = \(end.hash) WHERE shard = \(shard)")
        }
        try await transaction.pipeline(statements)
    }

    // MARK: Reading

    /// What a page of the log is to hold.
    package struct Filter: Sendable {
        package var actor: String?
        package var subject: ProfileID?
        package var action: AuditEntry.Action?
        package var from: Instant?
        package var to: Instant?

        package init() {}
    }

    /// Where a page ends.
    package struct Place: Sendable {
        let at: Instant
        let shard: Shard
        let position: Int64
    }

    /// The latest first.
    package func page(
        _ filter: Filter, before place: Place?, limit: Int, in session: some PostgresSession
    ) async throws -> [AuditLink] {
        var conditions: [SQL] = ["true"]
        if let actor = filter.actor { conditions.append("e.actor = \(actor)") }
        if let subject = filter.subject { conditions.append("e.subjects @> \([subject])::uuid[]") }
        if let action = filter.action { conditions.append("e.action = \(action.rawValue)") }
        if let from = filter.from { conditions.append("e.at >= \(from)") }
        if let to = filter.to { conditions.append("e.at < \(to)") }
        if let place {
            conditions.append(
                "(e.at, e.shard, e.position) < (\(place.at), \(place.shard), \(place.position))")
        }
        return try await session.query(
            """
            SELECT \(Self.columns) FROM \(entry) e WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY e.at DESC, e.shard DESC, e.position DESC LIMIT \(Int64(limit))
            """
        ).map(Self.link)
    }

    /// A page of a chain after a position.
    func links(
        of shard: Shard, after position: Int64, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [AuditLink] {
        try await transaction.query(
            """
            SELECT \(Self.columns) FROM \(entry) e WHERE e.shard = \(shard) AND e.position > \(position)
            ORDER BY e.position LIMIT \(Int64(limit))
            """
        ).map(Self.link)
    }

    /// The hashes of entries of a chain by their positions.
    func hashes(
        of shard: Shard, at positions: [Int64], in transaction: PostgresTransaction
    ) async throws -> [Int64: [UInt8]] {
        let rows = try await transaction.query(
            """
            SELECT position, hash FROM \(entry) WHERE shard = \(shard) AND position = ANY(\(positions)::bigint[])
            """)
        return Dictionary(
            try rows.map { (try $0.get("position"), try $0.get("hash")) }, uniquingKeysWith: { $1 })
    }

    /// The ends of all chains that have entries.
    func heads(in session: some PostgresSession) async throws -> [Shard: ChainHeads.Head] {
        var heads: [Shard: ChainHeads.Head] = [:]
        for row in try await session.query("SELECT shard, position, hash FROM \(head) WHERE position > 0") {
            heads[try row.get("shard")] = .init(position: try row.get("position"), hash: try row.get("hash"))
        }
        return heads
    }

    // MARK: Letting go

    /// Where the chains begin whose beginnings were let go of.
    func anchors(in session: some PostgresSession) async throws -> [Shard: AuditAnchor] {
        let rows = try await session.query("SELECT shard, position, hash, document FROM \(anchor)")
        return Dictionary(
            try rows.map { row in
                (
                    try row.get("shard"),
                    AuditAnchor(
                        position: try row.get("position"), hash: try row.get("hash"),
                        document: try row.get("document"))
                )
            }, uniquingKeysWith: { $1 })
    }

    /// The chains whose first entry is from before an instant.
    func beginning(before instant: Instant, in session: some PostgresSession) async throws -> [Shard] {
        try await session.query(
            """
            SELECT h.shard FROM \(head) h CROSS JOIN LATERAL (
                SELECT e.at FROM \(entry) e WHERE e.shard = h.shard ORDER BY e.position LIMIT 1) r
            WHERE r.at < \(instant) ORDER BY h.shard
            """
        ).map { try $0.get("shard") }
    }

    /// Deletes a chain's entries up to one of them; returns how many they were.
    func letGo(
        upTo link: AuditLink, document: String, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.query(
            """
            SELECT \(unsafe: log.schema).audit_let_go(\(link.shard)::smallint, \(link.position)::bigint,
                \(link.hash)::bytea, \(document)::text) AS gone
            """
        ).first?.get("gone") ?? 0
    }

    private static func link(_ row: PostgresRow) throws -> AuditLink {
        AuditLink(
            shard: try row.get("shard"), position: try row.get("position"), at: try row.get("at"),
            entry: AuditEntry(
                actor: try row.get("actor"),
                action: try word("action", in: row, as: AuditEntry.Action.self),
                route: try row.get("route"), subjects: try row.get("subjects"),
                target: try row.get("target", as: String?.self),
                reason: try row.get("reason", as: String?.self),
                outcome: try word("outcome", in: row, as: AuditEntry.Outcome.self),
                status: try row.get("status", as: Int64?.self).map { Int($0) }),
            previousHash: try row.get("previous_hash"), hash: try row.get("hash"))
    }

    private static func word<Word: RawRepresentable>(
        _ column: String, in row: PostgresRow, as: Word.Type
    ) throws -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: try row.get(column)) else {
            throw PostgresError.decoding(column: column, message: "is no word that is known")
        }
        return word
    }
}
