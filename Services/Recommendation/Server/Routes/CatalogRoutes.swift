import Models
import Postgres
import RecommendationDomain
import ServiceKit

/// `/v1/catalog/items`: the products that may be shown.
struct CatalogRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock

    private static let batchLimit = 1_000
    private static let batchBytes = 8 << 20

    func add(to router: ServiceRouter) {
        router.put("/v1/catalog/items", scope: .catalogWrite, touches: .changes) { try await put($0) }
        router.get("/v1/catalog/items", scope: .catalogRead, touches: .definitions) { try await list($0) }
        router.get("/v1/catalog/items/{sku}", scope: .catalogRead, touches: .definitions) {
            try await get($0)
        }
    }

    /// Creates or replaces each good item of a batch and says of each what became of it.
    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: Self.batchBytes))
        if let unknown = fields.members.keys.filter({ $0 != "items" }).min() {
            throw DecodingProblem(
                path: unknown, expected: "items alone", message: "\(unknown) is not known here")
        }
        let elements = try fields.array("items")
        guard (1...Self.batchLimit).contains(elements.count) else {
            throw fields.problem("items", expected: "an array of 1 to \(Self.batchLimit) items")
        }
        let verdicts = Verdicts(elements)
        let now = try await clock.now()
        try await CatalogStore.put(verdicts.accepted, at: now, in: pool)
        return .json(verdicts.json)
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let after = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let found = try await CatalogStore.page(after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.item.sku]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let stored = try await CatalogStore.get(try request.path("sku"), in: pool) else {
            throw Problem.notFound("no such item in the catalog", type: "unknown-item")
        }
        return .json(stored.json)
    }
}

/// What becomes of each item of a batch: `received = accepted + duplicate + refused`.
struct Verdicts: Sendable {
    /// The items to write, each sku once.
    private(set) var accepted: [CatalogItem] = []
    private var items: [JSON] = []
    private var duplicates = 0
    private var refused = 0

    init(_ elements: [JSON]) {
        let parsed = elements.enumerated().map { index, element in
            Result { () throws(DecodingProblem) in try CatalogItem(json: element, at: "items.\(index)") }
        }
        var last: [String: Int] = [:]
        for (index, result) in parsed.enumerated() {
            if case .success(let item) = result { last[item.sku] = index }
        }
        for (index, result) in parsed.enumerated() {
            switch result {
            case .success(let item) where last[item.sku] == index:
                accepted.append(item)
                items.append(Self.verdict(index, sku: item.sku, "accepted", reason: nil))
            case .success(let item):
                duplicates += 1
                items.append(
                    Self.verdict(
                        index, sku: item.sku, "duplicate",
                        reason: "a later item of the batch has the same sku"))
            case .failure(let problem):
                refused += 1
                items.append(
                    Self.verdict(
                        index, sku: elements[index]["sku"]?.string, "refused", reason: problem.message))
            }
        }
    }

    private static func verdict(_ index: Int, sku: String?, _ status: String, reason: String?) -> JSON {
        [
            "index": .integer(Int64(index)), "sku": sku.map { .string($0) } ?? .null,
            "status": .string(status),
            "reason": reason.map { .string($0) } ?? .null,
        ]
    }

    var json: JSON {
        [
            "received": .integer(Int64(items.count)), "accepted": .integer(Int64(accepted.count)),
            "duplicate": .integer(Int64(duplicates)), "refused": .integer(Int64(refused)),
            "items": .array(items),
        ]
    }
}

extension StoredItem {
    var json: JSON {
        guard case .object(var members) = item.json else { return item.json }
        members["updatedAt"] = .string(updatedAt.rfc3339)
        return .object(members)
    }
}
