import Models
import ServiceKit

/// What a person did, the latest first.
struct TimelineRoutes {
    let reading: ProfileReading

    func add(to router: ServiceRouter) {
        router.get("/v1/profiles/{id}/timeline", scope: .profilesRead, touches: .people) { request in
            let id = try request.pathID("id", as: ProfileID.self)
            let limit = try request.query("limit", in: 1...500, default: 50)
            let place = try TimelinePlace(cursor: try request.query("cursor"))
            let page = try await reading.timeline(
                of: id, matching: try filter(of: request), at: place, limit: limit)
            guard let page else { throw Problem.noProfile }
            return .json(page.json)
        }
    }

    private func filter(of request: ServiceRequest) throws(Problem) -> TimelineFilter {
        var filter = TimelineFilter()
        if let text = try request.query("type") {
            filter.types = Set(text.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
            guard filter.types.isSubset(of: TimelineFilter.types) else {
                let known = TimelineFilter.types.sorted().joined(separator: ", ")
                throw .badRequest("`type` must be some of these, with commas between them: \(known)")
            }
        }
        filter.name = try request.query("name")
        filter.from = try request.queryInstant("from")
        filter.to = try request.queryInstant("to")
        filter.sourceID = try request.queryID("source")
        if let from = filter.from, let to = filter.to, from >= to {
            throw .badRequest("`from` must be before `to`")
        }
        return filter
    }
}

extension TimelinePage {
    var json: JSON {
        [
            "items": .array(entries.map(\.json)), "nextCursor": next.map { .string($0.cursor) } ?? .null,
            "previousCursor": previous.map { .string($0.cursor) } ?? .null,
        ]
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

extension TimelinePlace {
    /// Nil where there is no cursor.
    fileprivate init?(cursor: String?) throws(Problem) {
        guard let parts = try Cursor.decode(cursor, count: 4) else { return nil }
        guard let direction = Direction(rawValue: parts[0]), let occurredAt = Instant(rfc3339: parts[1]),
            let shard = Int16(parts[2]).flatMap({ Shard(number: $0) }), let offset = Int64(parts[3])
        else {
            throw .badRequest(
                "`cursor` must be a `nextCursor` or `previousCursor` of this list, passed on as it was")
        }
        self.init(
            direction: direction,
            position: TimelineStore.Position(occurredAt: occurredAt, shard: shard, offset: offset))
    }

    fileprivate var cursor: String {
        Cursor.encode([
            direction.rawValue, position.occurredAt.rfc3339, position.shard.description,
            String(position.offset),
        ])
    }
}
