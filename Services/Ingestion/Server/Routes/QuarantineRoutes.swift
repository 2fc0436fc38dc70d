import Foundation
import HTTPTypes
import IngestionDomain
import Models
import Postgres
import ServiceKit

/// `/v1/quarantine`: what could not be accepted, to be searched, understood, mended and taken in.
struct QuarantineRoutes: Sendable {
    let pool: PostgresPool
    let replay: QuarantineReplay

    func add(to router: ServiceRouter) {
        router.get("/v1/quarantine", scope: .sourcesRead, touches: .people) { try await list($0) }
        router.get("/v1/quarantine/{id}", scope: .sourcesRead, touches: .people) { try await get($0) }
        router.post("/v1/quarantine/replay", scope: .sourcesWrite, touches: .people) {
            try await replayMany($0)
        }
        router.post("/v1/quarantine/{id}/replay", scope: .sourcesWrite, touches: .people) {
            try await replayOne($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        var filter = QuarantineFilter()
        filter.source = try request.queryID("source")
        filter.messageID = try request.query("messageId")
        filter.event = try request.query("event")
        filter.text = try request.query("text")
        if filter.text != nil { try request.requireIdentifiers(for: "`text`") }
        filter.from = try request.queryInstant("from") ?? .distantPast
        filter.to = try request.queryInstant("to") ?? .distantFuture
        if let reason = try request.query("reason") { filter.reason = try Self.reason(reason) }
        switch try request.query("settled") {
        case nil, "false": break
        case "true": filter.isSettled = true
        default: throw Problem.badRequest("`settled` must be true or false")
        }
        var after: (Instant, QuarantineID)?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 2) {
            guard let at = Instant(rfc3339: cursor[0]), let id = QuarantineID(cursor[1]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = (at, id)
        }
        let found = try await QuarantineStore.list(
            filter, after: after, limit: limit + 1, profiles: replay.log.profiles, in: pool)
        let page = found.prefix(limit)
        let next =
            found.count > limit
            ? page.last.map { Cursor.encode([$0.receivedAt.rfc3339, $0.id.description]) } : nil
        return .page(page.map { $0.json() }, nextCursor: next)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard
            let item = try await QuarantineStore.get(
                try request.pathID("id"), profiles: replay.log.profiles, in: pool)
        else {
            throw Self.unknown
        }
        return .json(item.json(withBytes: true))
    }

    private func replayMany(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 256 << 10))
        try fields.allow(["ids", "source", "reason", "messageId", "event", "text", "from", "to", "mend"])
        var filter = QuarantineFilter()
        if fields["ids"] != nil {
            filter.ids = try fields.array("ids").map { id in
                guard let id = id.string.flatMap({ QuarantineID($0) }) else {
                    throw fields.problem("ids", expected: "an array of ids of the quarantine")
                }
                return id
            }
        }
        filter.source = try fields.optionalID("source")
        filter.messageID = try fields.optionalString("messageId")
        filter.event = try fields.optionalString("event")
        filter.text = try fields.optionalString("text")
        if filter.text != nil { try request.requireIdentifiers(for: "`text`") }
        filter.from = try fields.optionalInstant("from") ?? .distantPast
        filter.to = try fields.optionalInstant("to") ?? .distantFuture
        if let reason = try fields.optionalString("reason") { filter.reason = try Self.reason(reason) }
        return .json(try await replay.replay(filter, mending: try Self.mending(fields)).json)
    }

    private func replayOne(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: QuarantineID = try request.pathID("id")
        let fields = try JSONFields(try await request.json(maxBytes: 1 << 20))
        try fields.allow(["item", "mend"])
        guard let stored = try await QuarantineStore.get(id, profiles: replay.log.profiles, in: pool)
        else { throw Self.unknown }
        guard stored.settledAt == nil, stored.item != nil else {
            throw Problem.conflict(
                "the item is \(stored.outcome ?? "erased") already", type: "quarantine-settled")
        }
        var filter = QuarantineFilter()
        filter.ids = [id]
        let item = fields["item"].map { Array($0.compact.utf8) }
        let report = try await replay.replay(
            filter, mending: try Self.mending(fields), replacement: item)
        return .json(report.json)
    }

    private static func reason(_ text: String) throws(Problem) -> Refusal.Reason {
        guard let reason = Refusal.Reason(rawValue: text) else {
            let known = Refusal.Reason.allCases.filter(\.isKept).map(\.rawValue)
            throw .badRequest("`reason` must be one of: \(known.joined(separator: ", "))")
        }
        return reason
    }

    private static func mending(_ fields: JSONFields) throws -> Set<QuarantineReplay.Mend> {
        guard fields["mend"] != nil else { return [] }
        return Set(
            try fields.array("mend").map { name in
                guard let mend = name.string.flatMap({ QuarantineReplay.Mend(rawValue: $0) }) else {
                    throw fields.problem("mend", expected: "an array of `text` and `time`")
                }
                return mend
            })
    }

    private static let unknown = Problem.notFound(
        "nothing of this id is in quarantine", type: "unknown-quarantine-id")
}

extension StoredQuarantinedItem {
    /// `withBytes` adds the item as it came, in base64, because it may be no text.
    fileprivate func json(withBytes: Bool = false) -> JSON {
        var members: [String: JSON] = [
            "quarantineId": .string(id.description), "sourceId": .string(sourceID.description),
            "receivedAt": .string(receivedAt.rfc3339), "reason": .string(refusal.reason.rawValue),
            "detail": .string(refusal.detail), "messageId": hints.messageID.map { .string($0) } ?? .null,
            "event": hints.event.map { .string($0) } ?? .null,
            "outcome": outcome.map { .string($0) } ?? .null,
            "settledAt": settledAt.map { .string($0.rfc3339) } ?? .null,
        ]
        if withBytes {
            members["bytes"] = item.map { .string(Data($0).base64EncodedString()) } ?? .null
            members["envelope"] = envelope
        }
        return .object(members)
    }
}

extension QuarantineReplay.Report {
    fileprivate var json: JSON {
        var counts: [String: Int64] = ["accepted": 0, "duplicate": 0, "quarantined": 0]
        for item in items { counts[item.verdict.name, default: 0] += 1 }
        var members = counts.mapValues(JSON.integer)
        members["hasMore"] = .bool(hasMore)
        members["items"] = .array(
            items.map { item in
                var line: [String: JSON] = [
                    "quarantineId": .string(item.id.description), "status": .string(item.verdict.name),
                    "messageId": item.messageID.map { .string($0) } ?? .null,
                ]
                if let refusal = item.verdict.refusal {
                    line["reason"] = .string("\(refusal.reason.rawValue): \(refusal.detail)")
                }
                return .object(line)
            })
        return .object(members)
    }
}
