import JourneysDomain
import Models
import Postgres
package import ProfileStore
import Sealing
package import ServiceKit
package import Streams

/// Reads who enters and leaves segments and decides about their journeys.
package struct MembershipsWorker: Sendable {
    private let catalogs: CatalogStore
    private let profiles: ProfileStore
    private let triggers: TriggerEvents
    /// What happened to profiles so far, which is to be taken in first.
    private let events: FactsFirst

    package init(catalogs: CatalogStore, profiles: ProfileStore, events: FactsFirst) {
        self.catalogs = catalogs
        self.profiles = profiles
        triggers = TriggerEvents(vault: profiles.vault)
        self.events = events
    }

    package func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .memberships) { batch, transaction in try await process(batch, in: transaction) }
    }

    private func process(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let catalog = try await catalogs.current(in: transaction)
        let facts = try batch.records.map { ($0, try MembershipFact(json: $0.body)) }
        var rest = facts[...]
        while !rest.isEmpty {
            let changes = rest.prefix { if case .changed = $0.1 { true } else { false } }
            try await decide(
                changes.compactMap { record, fact in
                    if case .changed(let change) = fact { (record, change) } else { nil }
                }, of: batch, catalog, in: transaction)
            rest = rest.dropFirst(changes.count)
            guard let (record, fact) = rest.popFirst(), case .unmerged(let history) = fact else { continue }
            try await Unmerging(catalog: catalog, profiles: profiles, transaction: transaction).take(
                history, at: Self.position(of: record), now: batch.now, record.traceparent)
        }
    }

    private static func position(of record: StreamRecord) -> StreamPosition {
        StreamPosition(
            stream: StreamDefinition.memberships.name, shard: record.shard, offset: record.offset)
    }

    private func decide(
        _ changes: [(StreamRecord, MembershipChange)], of batch: StreamBatch, _ catalog: JourneyCatalog,
        in transaction: PostgresTransaction
    ) async throws {
        // An erased profile leaves its segments too; nothing may be remembered of that.
        let changes = changes.filter { $0.1.reason != .erasure }
        guard !changes.isEmpty else { return }
        try await ProfileTables(transaction: transaction, vault: profiles.vault).extend(
            with: changes.map(\.1).filter(Self.isTheirOwn), at: batch.now)
        var desk = try await ProfileDesk.open(
            Set(changes.map(\.1.profileID)), profiles: profiles, catalog: catalog, at: batch.now,
            in: transaction)
        // A change fires the timers that were due before it. They may not overtake a purchase that this service
        // has still to read, so the changes wait for it.
        let firesTimers = changes.contains { desk.hasTimer($0.1.profileID, dueBy: min($0.1.at, batch.now)) }
        if firesTimers, try await !events.haveBeenProcessed() {
            throw RetryLater("events are still being read")
        }
        for (record, change) in changes {
            let fact = JourneyFact(
                .segment(try await triggers.completed(change, catalog, now: batch.now, in: transaction)),
                position: Self.position(of: record),
                isOfMergedProfile: try await isOfMergedProfile(change, desk, in: transaction))
            desk.apply(fact, to: change.profileID, now: batch.now, traceparent: record.traceparent)
        }
        try await desk.commit(at: batch.now)
    }

    /// Whether somebody has entered or left, and it isn't only said anew because of who they are.
    private static func isTheirOwn(_ change: MembershipChange) -> Bool {
        change.reason != .unmerge && !(change.reason == .merge && change.change == .exited)
    }

    /// Whether the change only says that the profile is no more: this service may read of the merge later.
    private func isOfMergedProfile(
        _ change: MembershipChange, _ desk: ProfileDesk, in transaction: PostgresTransaction
    ) async throws -> Bool {
        // Nor is it news what the profile is in once a merge was undone: it was so all the time.
        if change.reason == .unmerge { return true }
        guard change.reason == .merge, change.change == .exited else { return false }
        if desk.isMerged(change.profileID) { return true }
        let canonical = try await profiles.canonicalID(of: change.profileID, in: transaction)
        return canonical.map { $0 != change.profileID } ?? false
    }
}
