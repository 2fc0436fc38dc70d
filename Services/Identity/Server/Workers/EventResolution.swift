import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Follows `events`: resolves each to a profile and appends it to the timeline.
struct EventResolution {
    let resolution: Resolution

    func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .events) { batch, transaction in
            try await resolve(batch, in: transaction)
        }
    }

    /// One batch, decided in memory and written set by set.
    func resolve(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        // What was erased from the raw log before it came to its turn here.
        let records = batch.records.filter { $0.body["kind"] != "erased" }
        let events = try records.map { try TrackingEvent(json: $0.body) }
        let policy = try await resolution.policies.current(in: transaction)
        var resolver = try await resolution.resolver(
            for: events.map { Observation($0, policy: policy) }, of: events, policy: policy, in: transaction)
        var traceparents: [String?] = []
        for (record, event) in zip(records, events) {
            let before = resolver.facts.count
            try resolver.resolve(event)
            for _ in before..<resolver.facts.count { traceparents.append(record.traceparent) }
        }
        try await resolution.write(resolver, traceparents: traceparents, at: batch.now, in: transaction)
    }
}
