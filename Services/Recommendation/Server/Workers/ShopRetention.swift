import Models
import Postgres
import ServiceKit

/// Lets go of what people looked at and ordered longer ago than the retention policy has it kept. What is often bought
/// together is counted anew from what remains.
enum ShopRetention {
    static func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        guard let boundary = current.policy.boundary(of: .recommendationHistory, now: now) else { return [] }
        return [
            RetentionTask(.recommendationHistory, rule: "interests", before: boundary) { step, transaction in
                let rows = try await InterestStore.delete(
                    before: step.boundary, limit: step.limit, in: transaction)
                return .init(rows: rows, isDone: rows < step.limit)
            },
            RetentionTask(.recommendationHistory, rule: "orders", before: boundary) { step, transaction in
                let orders = try await OrderStore.delete(
                    before: step.boundary, limit: step.limit, in: transaction)
                var counts = CountChange()
                for order in orders { counts.replace(Set(order.skus), by: [], on: order.shard) }
                try await OrderStore.count(counts, in: transaction)
                return .init(rows: orders.count, isDone: orders.count < step.limit)
            },
        ]
    }
}
