import Models
import Postgres
import RecommendationDomain
import ServiceKit

/// What recommendation does about privacy requests.
enum RecommendationPrivacy {
    static let handler = PrivacyHandler(
        access: { request, transaction in
            let orders = try await OrderStore.orders(of: request.profileIDs, in: transaction)
            let interests = try await InterestStore.interests(of: request.profileIDs, in: transaction)
            return [
                "orders": .array(orders.map { ["orderId": .string($0.key), "detail": $0.json] }),
                "interests": .array(interests.map(\.json)),
            ]
        },
        erase: { request, transaction in try await forget(request.profileIDs, in: transaction) })

    /// Deletes orders and interests, and takes the orders out of the counts. What was counted before holds no
    /// person and is counted anew when it is next asked for.
    static func forget(_ profiles: [ProfileID], in transaction: PostgresTransaction) async throws -> JSON {
        let orders = try await OrderStore.delete(profiles, in: transaction)
        var counts = CountChange()
        for order in orders { counts.replace(Set(order.skus), by: [], on: order.shard) }
        try await OrderStore.count(counts, in: transaction)
        let interests = try await InterestStore.delete(profiles, in: transaction)
        return ["orders": .integer(Int64(orders.count)), "interests": .integer(Int64(interests))]
    }
}

extension Interest {
    fileprivate var json: JSON {
        [
            "sku": .string(sku), "viewedAt": viewedAt.map { .string($0.rfc3339) } ?? .null,
            "addedAt": addedAt.map { .string($0.rfc3339) } ?? .null,
            "removedAt": removedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}
