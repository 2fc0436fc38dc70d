import IdentityDomain
import Metrics
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
        let tombstones = try await resolution.tombstones(for: observations, in: transaction)
        let corrected = try await resolution.corrected(observations, in: transaction)
        var (traceparents, late): ([String?], [StreamRecord]) = ([], [])
        for (place, event) in events.enumerated() {
            if isOfErased(observations[place], resolver, tombstones) {
                late.append(records[place])
                continue
            }
            let before = resolver.facts.count
            let observation =
                corrected.isEmpty ? observations[place] : corrected.without(observations[place], of: resolver)
            try resolver.resolve(event, as: observation)
            for _ in before..<resolver.facts.count { traceparents.append(records[place].traceparent) }
        }
        try await resolution.write(
            resolver, traceparents: traceparents, having: keys, at: batch.now, in: transaction)
        try await refuse(late, at: batch.now, in: transaction)
    }

    /// Whether it is about somebody who was erased: by their profile, or from before it by a name of theirs.
    private func isOfErased(
        _ observation: Observation, _ resolver: Resolver, _ tombstones: Tombstones
    ) -> Bool {
        if let named = observation.profileID {
            return resolver.profile(named).map { resolver.profile(resolver.root(of: $0.id)) ?? $0 }?.isErased
                ?? false
        }
        return !tombstones.isEmpty
            && tombstones.cover(observation) { resolver.owner(of: $0) != nil }
    }

    /// Has the raw log forget events, which it has taken in since.
    private func refuse(
        _ late: [StreamRecord], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard !late.isEmpty else { return }
        Counter(label: "martlet_identity_late_events_total").increment(by: late.count)
        let offsets = Dictionary(grouping: late, by: { "\($0.shard.number)" })
            .mapValues { JSON.array($0.map { .integer($0.offset) }) }
        try await resolution.outbox.enqueue(
            target: .ingestion, path: "/v1/erasures/late-events", body: ["events": .object(offsets)],
            in: transaction, at: now)
    }
}
