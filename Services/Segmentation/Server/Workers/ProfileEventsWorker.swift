import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Streams

/// Follows `profile-events`: folds each fact into its profile's state and publishes what changes.
struct ProfileEventsWorker {
    let registry: SegmentRegistry
    let history: HistoryWatch

    func consumer(in context: ServiceContext) -> StreamConsumer {
        // Each lane has a connection, and may need another for a moment.
        let lanes = context.pool.settings.maxConnections > 4 ? 2 : 1
        return context.consumer(of: .profileEvents, batch: 500 * lanes, lanes: lanes) { batch, transaction in
            try await take(batch, in: transaction)
        }
    }

    /// One batch: all profiles that it touches are locked in one order, so that batches do not deadlock.
    func take(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let facts = try batch.records.map { try ProfileFact(json: $0.body) }
        try await history.see(facts, recorded: batch.records)
        var profiles: Set<ProfileID> = []
        for fact in facts {
            profiles.insert(fact.profileID)
            if case .merge(_, let merged, _, _, _) = fact { profiles.insert(merged) }
        }
        let decider = try await registry.decider(in: transaction)
        let states = try await StateStore(transaction: transaction, registry: registry).lock(profiles)
        var work = MembershipWork(
            decider: decider, states: states, now: batch.now, vault: registry.vault, in: transaction)
        try await work.refresh()
        try await work.look(for: facts)
        try await work.hearOfConsents(of: profiles)
        let events = facts.compactMap { if case .event(_, _, let event) = $0 { event } else { nil } }
        // After the states, which is the order of everybody.
        work.accounts = try await AccountBook.open(
            for: events, asking: decider.set.accountTraits, vault: registry.vault, in: transaction)
        try await work.hearOfAccounts()
        for (record, fact) in zip(batch.records, facts) { try await work.take(fact, of: record) }
        work.hearTheRest()
        try await work.write()
    }
}
