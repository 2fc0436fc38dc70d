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
        router.put("/v1/erasures/{id}", access: .service) { request in
            let id: PrivacyRequestID = try request.pathID("id")
            let fields = try JSONFields(try await request.json())
            let subjects = try fields.array("subjects").map { subject in
                guard let text = subject.string else {
                    throw fields.problem("subjects", expected: "an array of strings")
                }
                return text
            }
            let told = RawEventStore.Told(
                subjects: subjects, profileIDs: try Self.profileIDs(fields), upTo: try Self.positions(fields))
            try await store.handOver(id, told, at: try await clock.now(), in: pool)
            return .empty()
        }
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
