import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Follows `events`: resolves each to a profile and appends it to the timeline.
struct EventResolution {
    let resolution: Resolution
    /// Events of one transaction, when so many wait: the more, the less each has of what a commit costs.
    private static let batch = 2_000

    func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .events, batch: Self.batch) { batch, transaction in
            try await resolve(batch, in: transaction)
        }
    }

    /// One batch, decided in memory and written set by set.
    func resolve(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        // What was erased from the raw log before it came to its turn here.
        let records = batch.records.filter { $0.body["kind"] != "erased" }
        let events = try records.map { try TrackingEvent(json: $0.body) }
        let policy = try await resolution.policies.current(in: transaction)
        let observations = events.map { Observation($0, policy: policy) }
        var (resolver, keys) = try await resolution.resolver(
            for: observations, of: events, policy: policy, in: transaction)
        var traceparents: [String?] = []
        for (place, event) in events.enumerated() {
            let before = resolver.facts.count
            try resolver.resolve(event, as: observations[place])
            for _ in before..<resolver.facts.count { traceparents.append(records[place].traceparent) }
        }
        try await resolution.write(
            resolver, traceparents: traceparents, having: keys, at: batch.now, in: transaction)
    }
}
