import JourneysDomain
import Models
import Postgres
package import ProfileStore
package import ServiceKit
package import Streams

/// Reads what happens to profiles and decides about their journeys.
package struct ProfileEventsWorker: Sendable {
    private let catalogs: CatalogStore
    private let profiles: ProfileStore

    package init(catalogs: CatalogStore, profiles: ProfileStore) {
        self.catalogs = catalogs
        self.profiles = profiles
    }

    package func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .profileEvents) { batch, transaction in
            try await process(batch, in: transaction)
        }
    }

    private func process(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let catalog = try await catalogs.current(in: transaction)
        let facts = try batch.records
            .map { ($0, try ProfileFact(json: $0.body)) }
            .filter { Self.matters($0.1, catalog) }
        guard !facts.isEmpty else { return }
        let ids = Set(facts.flatMap { Self.profiles(in: $0.1) })
        var desk = try await ProfileDesk(ids, profiles: profiles, catalog: catalog, in: transaction)
        for (record, fact) in facts { Self.apply(fact, of: record, to: &desk, now: batch.now) }
        try await desk.commit(at: batch.now)
    }

    /// Most events concern no journey; their profiles need not even be locked.
    private static func matters(_ fact: ProfileFact, _ catalog: JourneyCatalog) -> Bool {
        switch fact {
        case .event(_, _, let event): event.kind == .track && catalog.eventNames.contains(event.name ?? "")
        case .merge, .erased: true
        // The survivor's shard tells the same, and there the journeys are moved.
        case .mergedInto: false
        }
    }

    private static func profiles(in fact: ProfileFact) -> [ProfileID] {
        if case .merge(let survivor, let merged, _, _, _) = fact {
            [survivor, merged]
        } else {
            [fact.profileID]
        }
    }

    private static func apply(
        _ fact: ProfileFact, of record: StreamRecord, to desk: inout ProfileDesk, now: Instant
    ) {
        let position = StreamPosition(
            stream: StreamDefinition.profileEvents.name, shard: record.shard, offset: record.offset)
        switch fact {
        case .event(let id, _, let event):
            desk.apply(
                JourneyFact(.event(event), position: position), to: id, now: now,
                traceparent: record.traceparent)
        case .merge(let survivor, let merged, let mergeID, let at, _):
            desk.merge(merged, into: survivor, mergeID: mergeID, at: at, position: position, now: now)
        case .erased(let id, _): desk.erase(id)
        case .mergedInto: break
        }
    }
}
