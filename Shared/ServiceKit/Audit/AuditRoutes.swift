import Models
import Postgres

/// `/v1/audit-log`: who has read and changed what, whether that still is what was written, and its ends, signed.
struct AuditLogRoutes: Sendable {
    /// The service's own log is the first.
    let logs: [AuditLog]
    let pool: PostgresPool
    let clock: ServiceClock
    let signer: ChainSigner
    private static let pageSize = 2_000

    func add(to router: ServiceRouter) {
        // Reading the log is itself logged; whether it holds, and its ends, say nothing of anybody.
        router.get("/v1/audit-log", scope: .auditRead, touches: .pseudonyms) { try await list($0) }
        router.post("/v1/audit-log/verify", scope: .auditRead, touches: .definitions) { request in
            let walks = try request.walksChains()
            let signed = try await signer.signedEnds(in: request)
            return walks ? try await verify(signed) : try await compare(signed)
        }
        router.get("/v1/audit-log/heads", scope: .auditRead, touches: .definitions) { request in
            .json(try signer.sign(try await Self.heads(of: try log(request), pool: pool, clock: clock)))
        }
    }

    /// The ends of a log now.
    static func heads(of log: AuditLog, pool: PostgresPool, clock: ServiceClock) async throws -> ChainHeads {
        ChainHeads(
            log: log.name, at: try await clock.now(), heads: try await AuditStore(log).heads(in: pool))
    }

    private func log(_ request: ServiceRequest) throws(Problem) -> AuditLog {
        let name = try request.query("log") ?? logs[0].name
        guard let log = logs.first(where: { $0.name == name }) else {
            throw .badRequest("`log` must be one of \(logs.map(\.name).joined(separator: ", "))")
        }
        return log
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        var filter = AuditStore.Filter()
        // Forms write a blank as a plus, and nobody is called by one.
        filter.actor = try request.query("actor")?.replacing("+", with: " ")
        filter.subject = try request.queryID("subject")
        filter.from = try request.queryInstant("from")
        filter.to = try request.queryInstant("to")
        if let text = try request.query("action") {
            guard let action = AuditEntry.Action(rawValue: text) else {
                let known = AuditEntry.Action.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.badRequest("`action` must be one of \(known)")
            }
            filter.action = action
        }
        let place = try Cursor.decode(try request.query("cursor"), count: 3).map { parts throws(Problem) in
            guard let at = Instant(rfc3339: parts[0]),
                let shard = Int16(parts[1]).flatMap({ Shard(number: $0) }),
                let position = Int64(parts[2])
            else {
                throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            return AuditStore.Place(at: at, shard: shard, position: position)
        }
        let found = try await AuditStore(try log(request)).page(
            filter, before: place, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        let next =
            found.count > limit
            ? page.last.map { Cursor.encode([$0.at.rfc3339, "\($0.shard.number)", "\($0.position)"]) } : nil
        return .page(page.map(\.json), nextCursor: next)
    }

    private func verify(_ signed: [String?: SignedEnds]) async throws -> ServiceResponse {
        let now = try await clock.now()
        var (reports, entries, isValid): ([JSON], Int64, Bool) = ([], 0, true)
        for log in logs {
            for shard in Shard.all {
                let signed = signed[log.name]?[shard] ?? [:]
                guard let (walk, head, anchor) = try await verify(shard, of: log, signed) else { continue }
                entries += walk.entries
                isValid = isValid && walk.faults.isEmpty
                reports.append(
                    Self.report(
                        shard, of: log, anchor, entries: walk.entries, head: head, faults: walk.faults))
            }
        }
        return .json([
            "valid": .bool(isValid), "entries": .integer(entries), "verifiedAt": .string(now.rfc3339),
            "shards": .array(reports),
        ])
    }

    private static func report(
        _ shard: Shard, of log: AuditLog, _ anchor: AuditAnchor?, entries: Int64, head: [UInt8],
        faults: [ChainFault]
    ) -> JSON {
        [
            "log": .string(log.name), "shard": .integer(Int64(shard.number)),
            "anchor": anchor.map { .integer($0.position) } ?? .null, "entries": .integer(entries),
            "head": .string(hexadecimal(head)),
            "faults": .array(
                faults.map { ["kind": .string($0.kind.rawValue), "position": .integer($0.position)] }),
        ]
    }

    /// Compares ends that were signed with what stands there, and goes along no chain.
    private func compare(_ signed: [String?: SignedEnds]) async throws -> ServiceResponse {
        let now = try await clock.now()
        var (reports, isValid): ([JSON], Bool) = ([], true)
        for log in logs {
            let store = AuditStore(log)
            for (shard, ends) in (signed[log.name] ?? [:]).sorted(by: { $0.key < $1.key }) {
                let (anchor, end, hashes) = try await pool.transaction(isolation: .repeatableRead) {
                    (
                        try await store.anchors(in: $0)[shard], try await store.heads(in: $0)[shard],
                        try await store.hashes(of: shard, at: Array(ends.keys), in: $0)
                    )
                }
                let faults = SignedEndCheck.faults(
                    of: ends, standing: hashes, end: end?.position ?? 0,
                    anchor: anchor.map { ($0.position, $0.hash) })
                isValid = isValid && faults.isEmpty
                reports.append(
                    Self.report(
                        shard, of: log, anchor, entries: 0, head: end?.hash ?? log.genesis(of: shard),
                        faults: faults))
            }
        }
        return .json([
            "valid": .bool(isValid), "entries": 0, "verifiedAt": .string(now.rfc3339),
            "shards": .array(reports),
        ])
    }

    /// One chain, in one snapshot, so that appends going on do not look like tampering; nil when it is empty.
    private func verify(
        _ shard: Shard, of log: AuditLog, _ signed: [Int64: [UInt8]]
    ) async throws -> (ChainWalk, head: [UInt8], anchor: AuditAnchor?)? {
        let store = AuditStore(log)
        return try await pool.transaction(isolation: .repeatableRead) { transaction in
            let end = try await store.heads(in: transaction)[shard]
            let genesis = log.genesis(of: shard)
            let anchor = try await store.anchors(in: transaction)[shard]
            var walk = ChainWalk(
                shard: shard, genesis: anchor?.hash ?? genesis, anchor: anchor?.position ?? 0, signed: signed,
                digest: AuditLog.sha256)
            if let anchor, !anchor.isSigned(by: signer, for: shard, of: log) {
                walk.report(.anchorAltered, anchor.position)
            }
            // What is there from before it is looked at as well: it has no business to be there.
            var position: Int64 = 0
            while true {
                let page = try await store.links(
                    of: shard, after: position, limit: Self.pageSize, in: transaction)
                for link in page { walk.take(link) }
                guard let last = page.last else { break }
                position = last.position
            }
            walk.finish(position: end?.position ?? 0, head: end?.hash ?? genesis)
            if end == nil, anchor == nil, walk.entries == 0, signed.isEmpty { return nil }
            return (walk, end?.hash ?? genesis, anchor)
        }
    }
}
