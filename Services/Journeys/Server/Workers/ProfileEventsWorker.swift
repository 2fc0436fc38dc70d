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
        // Who is one person with whom changes in between, so what comes before is written first.
        var rest = facts[...]
        while !rest.isEmpty {
            let plain = rest.prefix { !$0.1.isUnmerge }
            try await decide(plain, catalog, at: batch.now, in: transaction)
            rest = rest.dropFirst(plain.count)
            guard let (record, fact) = rest.popFirst() else { break }
            if case .unmerge(let id, let split, let members, let mergeID, let at, _) = fact {
                try await Unmerging(catalog: catalog, profiles: profiles, transaction: transaction).unmerge(
                    Unmerging.Order(
                        profileID: id, split: split, members: members, mergeID: mergeID, at: at,
                        position: Self.position(of: record), now: batch.now,
                        traceparent: record.traceparent))
            }
        }
    }

    private func decide(
        _ facts: ArraySlice<(StreamRecord, ProfileFact)>, _ catalog: JourneyCatalog, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !facts.isEmpty else { return }
        var desk = try await ProfileDesk.open(
            Set(facts.flatMap { Self.profiles(in: $0.1) }),
            merging: Set(facts.filter { $0.1.kind == .merge }.flatMap { Self.profiles(in: $0.1) }),
            profiles: profiles, catalog: catalog, at: now, in: transaction)
        for (record, fact) in facts {
            if let sign = Self.sign(of: fact, in: record, desk, now: now) {
                // Who is one person is not what this service has, so what comes before is written first.
                try await desk.commit(at: now)
                try await desk.reload(
                    try await Regrouping(catalog: catalog, profiles: profiles, transaction: transaction)
                        .follow(sign))
            }
            Self.apply(fact, of: record, to: &desk, now: now)
        }
        try await desk.commit(at: now)
    }

    /// What is to be looked at before a fact is taken, because it shows that identity knows more than this service.
    private static func sign(
        of fact: ProfileFact, in record: StreamRecord, _ desk: ProfileDesk, now: Instant
    ) -> Regrouping.Sign? {
        switch fact {
        case .event(let id, let member, _) where desk.isAstray(id, arrivedUnder: member):
            Regrouping.Sign(profiles: [id, member], at: now, now: now, traceparent: record.traceparent)
        case .merge(let survivor, let merged, let mergeID, let at, _)
        where desk.sign(of: merged, into: survivor) == .unclear:
            Regrouping.Sign(
                profiles: [survivor, merged], made: mergeID, at: at, position: position(of: record), now: now,
                traceparent: record.traceparent)
        default: nil
        }
    }

    private static func position(of record: StreamRecord) -> StreamPosition {
        StreamPosition(
            stream: StreamDefinition.profileEvents.name, shard: record.shard, offset: record.offset)
    }

    /// Most events concern no journey; their profiles need not even be locked.
    private static func matters(_ fact: ProfileFact, _ catalog: JourneyCatalog) -> Bool {
        switch fact {
        case .event(_, _, let event): event.kind == .track && catalog.eventNames.contains(event.name ?? "")
        case .merge, .unmerge, .erased: true
        // The survivor's shard tells the same, and there the journeys are moved.
        case .mergedInto, .unmergedFrom, .withheld: false
        }
    }

    private static func profiles(in fact: ProfileFact) -> [ProfileID] {
        switch fact {
        case .merge(let survivor, let merged, _, _, _): [survivor, merged]
        case .event(let id, let member, _): [id, member]
        default: [fact.profileID]
        }
    }

    private static func apply(
        _ fact: ProfileFact, of record: StreamRecord, to desk: inout ProfileDesk, now: Instant
    ) {
        let position = position(of: record)
        switch fact {
        case .event(_, let member, let event):
            // Whose it was when it came may be no more; whose it is goes by what it arrived under.
            desk.apply(
                JourneyFact(.event(event), position: position), to: member, now: now,
                traceparent: record.traceparent)
        case .merge(let survivor, let merged, let mergeID, let at, _)
        where desk.sign(of: merged, into: survivor) == .plain:
            desk.merge(merged, into: survivor, mergeID: mergeID, at: at, position: position, now: now)
        case .erased(let id, _): desk.erase(id)
        case .merge, .mergedInto, .unmerge, .unmergedFrom, .withheld: break
        }
    }
}

extension ProfileFact {
    fileprivate var isUnmerge: Bool {
        if case .unmerge = self { true } else { false }
    }
}
