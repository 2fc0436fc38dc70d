import Models
import Postgres
import ServiceKit

/// Where identity tells whom it has erased. What was sent to them since delivery carried the request out itself goes with
/// this; from here on nothing is sent.
struct ErasureRoutes: Sendable {
    let pool: PostgresPool
    let store: ErasureStore

    func add(to router: ServiceRouter) {
        router.put("/v1/erasures/{id}", access: .service) { request in
            _ = try request.pathID("id", as: PrivacyRequestID.self)
            let fields = try JSONFields(try await request.json())
            let ids = try fields.array("profileIds").map { element in
                guard let id = element.string.flatMap({ ProfileID($0) }) else {
                    throw fields.problem("profileIds", expected: "an array of UUIDs")
                }
                return id
            }
            let addresses = try (fields["addressHashes"] == nil ? [] : fields.array("addressHashes")).map {
                element in
                guard let hash = element.string.flatMap(AddressKey.init(text:)) else {
                    throw fields.problem("addressHashes", expected: "an array of 64 hexadecimal digits each")
                }
                return hash
            }
            try await pool.transaction {
                _ = try await store.erase(ids, addresses: addresses, in: $0)
            }
            return .empty()
        }
    }
}
