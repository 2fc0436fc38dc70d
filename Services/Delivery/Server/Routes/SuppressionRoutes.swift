import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/suppressions`: addresses that get no mail. Addresses go in bodies, never in URLs, and are kept as keyed
/// hashes alone.
struct SuppressionRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let key: IdentifierKey
    private let store = SuppressionStore()

    init(pool: PostgresPool, clock: ServiceClock, key: IdentifierKey) {
        (self.pool, self.clock, self.key) = (pool, clock, key)
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/suppressions", scope: .deliveryRead, touches: .pseudonyms) { try await list($0) }
        router.put("/v1/suppressions", scope: .deliveryWrite, touches: .pseudonyms) { try await put($0) }
        router.post("/v1/suppressions/lookup", scope: .deliveryRead, touches: .identifiers) {
            try await lookUp($0)
        }
        router.delete("/v1/suppressions/{id}", scope: .deliveryWrite, touches: .pseudonyms) {
            try await delete($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        var after: (hash: Data, purpose: String)?
        if let parts = try Cursor.decode(request.query("cursor"), count: 2) {
            guard let key = AddressKey(text: parts[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = (key.hash, parts[1])
        }
        let found = try await store.page(after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        let next = page.last.map { Cursor.encode([$0.key.text, $0.suppression.purpose ?? ""]) }
        return .page(page.map(\.json), nextCursor: found.count > limit ? next : nil)
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 16 << 10))
        if let unknown = fields.members.keys.filter({ !["address", "purpose", "reason"].contains($0) }).min()
        {
            throw DecodingProblem(
                path: unknown, expected: "address, purpose and reason",
                message: "\(unknown) is not known here")
        }
        let key = try address(fields)
        let purpose = try fields.optionalString("purpose")
        if let purpose, !Self.isPurpose(purpose) {
            throw fields.problem("purpose", expected: "the id of a purpose, 1 to 100 bytes")
        }
        let reason =
            fields["reason"] == nil ? .manual : try fields.choice("reason", as: Suppression.Reason.self)
        let suppression = Suppression(purpose: purpose, reason: reason, at: try await clock.now())
        let stored = try await pool.transaction { transaction in
            try await store.add([(key, suppression, nil)], in: transaction)
            return try await store.find([key], in: transaction).first { $0.suppression.purpose == purpose }
        }
        guard let stored else {
            throw Problem.conflict("the entry was taken away at the same time; try again")
        }
        return .json(stored.json)
    }

    private func lookUp(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 16 << 10))
        return .json(["items": .array(try await store.find([try address(fields)], in: pool).map(\.json))])
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let parts = id.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let first = parts.first, let key = AddressKey(text: first),
            parts.count == 1 || Self.isPurpose(parts[1])
        else { throw Problem.badRequest("`id` must be the id of an entry of this list") }
        guard try await store.remove(key, purpose: parts.count > 1 ? parts[1] : nil, in: pool) else {
            throw Problem.notFound("no such suppression", type: "unknown-suppression")
        }
        return .empty()
    }

    private func address(_ fields: JSONFields) throws(DecodingProblem) -> AddressKey {
        guard let address = EmailAddress(try fields.string("address")),
            let key = AddressKey(address.description, key: key)
        else { throw fields.problem("address", expected: "an e-mail address such as jo@example.com") }
        return key
    }

    private static func isPurpose(_ text: String) -> Bool {
        (1...100).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
    }
}
