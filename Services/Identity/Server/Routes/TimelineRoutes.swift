import Models
import ServiceKit

/// What a person did, the latest first.
struct TimelineRoutes {
    let reading: ProfileReading

    func add(to router: ServiceRouter) {
        router.get("/v1/profiles/{id}/timeline", scope: .profilesRead) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            let limit = try request.query("limit", in: 1...500, default: 50)
            let parts = try Cursor.decode(try request.query("cursor"), count: 3)
            let position = try parts.map(TimelineStore.Position.init(cursor:))
            guard let entries = try await reading.timeline(of: id, before: position, limit: limit + 1) else {
                throw Problem.noProfile
            }
            let shown = entries.prefix(limit)
            return .page(
                shown.map(\.json), nextCursor: entries.count > limit ? shown.last?.position.cursor : nil)
        }
    }
}

extension TimelineStore.Entry {
    /// The fact with its times.
    var json: JSON {
        var members = body.object ?? [:]
        members["occurredAt"] = .string(occurredAt.rfc3339)
        members["recordedAt"] = .string(recordedAt.rfc3339)
        return .object(members)
    }

    var position: TimelineStore.Position {
        TimelineStore.Position(occurredAt: occurredAt, shard: shard, offset: offset)
    }
}

extension TimelineStore.Position {
    fileprivate init(cursor parts: [String]) throws(Problem) {
        guard let occurredAt = Instant(rfc3339: parts[0]),
            let shard = Int16(parts[1]).flatMap({ Shard(number: $0) }), let offset = Int64(parts[2])
        else { throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was") }
        self.init(occurredAt: occurredAt, shard: shard, offset: offset)
    }

    fileprivate var cursor: String { Cursor.encode([occurredAt.rfc3339, shard.description, String(offset)]) }
}
