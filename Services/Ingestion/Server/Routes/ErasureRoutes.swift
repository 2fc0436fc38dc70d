import Models
import Postgres
import ServiceKit

/// Where identity tells, before it forgets them, which names somebody went by who is to be erased: the raw log knows
/// people by these alone.
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
            try await store.handOver(id, subjects: subjects, at: try await clock.now(), in: pool)
            return .empty()
        }
    }
}
