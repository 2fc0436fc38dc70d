import Models
import Postgres
import ServiceKit

/// Where identity tells, when it forgets them, which names somebody went by who is erased, and how far their events were
/// resolved: the raw log knows people by these names alone, and what came later is of somebody new.
struct ErasureRoutes: Sendable {
    let store: RawEventStore
    let pool: PostgresPool
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.post("/v1/erasures/late-events", access: .service) { request in
            let fields = try JSONFields(try await request.json(maxBytes: Self.limit))
            guard let events = fields["events"].flatMap({ RawEventStore.Told.places($0) }) else {
                throw fields.problem(
                    "events", expected: "an object of arrays of offsets by the numbers of shards")
            }
            let now = try await clock.now()
            try await pool.transaction { transaction in
                _ = try await store.bury(
                    events.flatMap { shard, offsets in offsets.map { (shard, $0) } }, at: now, in: transaction
                )
                try await RecentItemStore.erase(in: transaction)
            }
            return .empty()
        }
        router.put("/v1/erasures/{id}", access: .service) { request in
            let id: PrivacyRequestID = try request.pathID("id")
            let fields = try JSONFields(try await request.json(maxBytes: Self.limit))
            var told = RawEventStore.Told(
                subjects: try Self.texts(fields, "subjects"), profileIDs: try Self.profileIDs(fields),
                upTo: try Self.positions(fields))
            if fields["sharedSubjects"] != nil { told.shared = Set(try Self.texts(fields, "sharedSubjects")) }
            if fields["messages"] != nil {
                let messages = try fields.fields("messages")
                for name in messages.members.keys {
                    told.places.insert(name)
                    told.messages.formUnion(try Self.texts(messages, name))
                }
            }
            told.unresolved = try Self.unresolved(fields)
            try await store.handOver(id, told, at: try await clock.now(), in: pool)
            return .empty()
        }
    }

    /// Of somebody who has used the device of somebody else, each event is named.
    private static let limit = 32 << 20

    private static func texts(_ fields: JSONFields, _ name: String) throws(DecodingProblem) -> [String] {
        var texts: [String] = []
        for element in try fields.array(name) {
            guard let text = element.string else {
                throw fields.problem(name, expected: "an array of strings")
            }
            texts.append(text)
        }
        return texts
    }

    private static func unresolved(_ fields: JSONFields) throws(DecodingProblem) -> [Shard: [Int64]] {
        guard let json = fields["unresolved"] else { return [:] }
        guard let unresolved = RawEventStore.Told.places(json) else {
            throw fields.problem(
                "unresolved", expected: "an object of arrays of offsets by the numbers of shards")
        }
        return unresolved
    }

    private static func profileIDs(_ fields: JSONFields) throws(DecodingProblem) -> [ProfileID] {
        guard fields["profileIds"] != nil else { return [] }
        var ids: [ProfileID] = []
        for element in try fields.array("profileIds") {
            guard let id = element.string.flatMap({ ProfileID($0) }) else {
                throw fields.problem("profileIds", expected: "an array of UUIDs")
            }
            ids.append(id)
        }
        return ids
    }

    private static func positions(_ fields: JSONFields) throws(DecodingProblem) -> [Shard: Int64]? {
        guard let json = fields["upTo"] else { return nil }
        guard let positions = RawEventStore.Told.positions(json) else {
            throw fields.problem("upTo", expected: "an object of offsets by the numbers of shards")
        }
        return positions
    }
}
