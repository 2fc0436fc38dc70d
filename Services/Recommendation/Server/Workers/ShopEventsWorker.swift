import Models
import Postgres
import ProfileStore
import RecommendationDomain
import ServiceKit
import Streams

/// Takes orders, refunds, views and carts out of `profile-events`, follows merges and their undoing, and forgets who is erased.
struct ShopEventsWorker: Sendable {
    let profiles: ProfileStore

    func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .profileEvents) { batch, transaction in
            try await take(batch, in: transaction)
        }
    }

    /// What a batch says, gathered so that each table is written once.
    private struct Gathered {
        var orders: [OrderPlace: (customerID: ProfileID, changes: [(inout Order) -> Void])] = [:]
        var interests: [ProfileID: [String: Interest]] = [:]
        var merged: Set<ProfileID> = []
        var erased: Set<ProfileID> = []
    }

    func take(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        var gathered = Gathered()
        for record in batch.records {
            switch try ProfileFact(json: record.body) {
            case .event(let profileID, let arrivedUnder, let event):
                if let signal = ShopSignal(event) {
                    Self.gather(signal, of: arrivedUnder, customerID: profileID, into: &gathered)
                }
            case .merge(let survivor, _, _, _, _): gathered.merged.insert(survivor)
            case .unmerge(let profile, let split, _, _, _, _): gathered.merged.formUnion([profile, split])
            case .mergedInto, .unmergedFrom, .withheld: break
            case .erased(let profile, _): gathered.erased.insert(profile)
            }
        }
        let owners = try await owners(of: gathered, in: transaction)
        try await takeOrders(gathered, of: owners, in: transaction)
        try await InterestStore.absorb(
            gathered.interests.flatMap { profile, interests in interests.values.map { (profile, $0) } },
            in: transaction)
        if !gathered.merged.isEmpty { try await OrderStore.assign(owners, in: transaction) }
        try await forget(gathered.erased, in: transaction)
    }

    /// Forgets the people of the profiles. What one of them did may stand on the shard of another, where it was not read
    /// yet when its own erasure was; the other's is behind it. Who is not erased by what identity says stays: the fact
    /// stands in the place of an event that was another's, of a merge that was undone.
    private func forget(_ erased: Set<ProfileID>, in transaction: PostgresTransaction) async throws {
        guard !erased.isEmpty else { return }
        let people = try await profiles.people(Array(erased), in: transaction)
        let gone = erased.filter { people[$0].map { $0.erasedAt != nil } ?? true }
        guard !gone.isEmpty else { return }
        let all = gone.reduce(into: gone) { $0.formUnion(people[$1]?.memberIDs ?? []) }
        _ = try await RecommendationPrivacy.forget(all.sorted(), in: transaction)
    }

    private static func gather(
        _ signal: ShopSignal, of profile: ProfileID, customerID: ProfileID, into gathered: inout Gathered
    ) {
        switch signal {
        case .ordered(let key, let placement):
            let place = OrderPlace(profileID: profile, key: key)
            gathered.orders[place, default: (customerID, [])].changes.append { $0.apply(placement) }
        case .refunded(let key, let messageID, let refund):
            let place = OrderPlace(profileID: profile, key: key)
            gathered.orders[place, default: (customerID, [])].changes.append {
                $0.apply(refund, messageID: messageID)
            }
        case .interest(let interest):
            if gathered.interests[profile]?[interest.sku]?.absorb(interest) == nil {
                gathered.interests[profile, default: [:]][interest.sku] = interest
            }
        }
    }

    private func takeOrders(
        _ gathered: Gathered, of owners: [ProfileID: ProfileID], in transaction: PostgresTransaction
    ) async throws {
        guard !gathered.orders.isEmpty else { return }
        let there = try await OrderStore.lock(Array(gathered.orders.keys), in: transaction)
        var new: [(place: OrderPlace, stored: StoredOrder)] = []
        var changed: [(place: OrderPlace, stored: StoredOrder)] = []
        var counts = CountChange()
        for (place, (customerID, changes)) in gathered.orders {
            let before = there[place]
            // Who was canonical when the event was told may be no more, and whoever told of that may have been heard.
            var after =
                before
                ?? StoredOrder(
                    customerID: owners[place.profileID] ?? customerID, order: Order(key: place.key))
            for change in changes { change(&after.order) }
            if before == nil { new.append((place, after)) } else { changed.append((place, after)) }
            counts.replace(
                Set(before.map { $0.order.kept.keys.map { $0 } } ?? []), by: Set(after.order.kept.keys),
                on: Shard(place.profileID))
        }
        // Another instance may have inserted the same order since it was looked for, when the profile moved from
        // one shard of the stream to another: then begin again and see it.
        guard try await OrderStore.insert(new, in: transaction) == new.count else {
            throw RetryLater("an order appeared meanwhile")
        }
        try await OrderStore.update(changed, in: transaction)
        try await OrderStore.count(counts, in: transaction)
    }

    /// To whom the orders of a batch belong, and all those of everybody whose merge it tells of.
    ///
    /// Which of two shards of the stream is read first is anybody's guess, and two instances may read them at once. So a
    /// merge or its undoing says no more than that something has changed; who is one person is asked of identity, after
    /// the orders of the profiles are locked. Whoever is last to write sees how it ended.
    private func owners(
        of gathered: Gathered, in transaction: PostgresTransaction
    ) async throws -> [ProfileID: ProfileID] {
        let buyers = Set(gathered.orders.keys.map(\.profileID))
        var locked: Set<Shard> = []
        var wanted = Set(buyers.union(gathered.merged).map { Shard($0) })
        while true {
            try await OrderStore.lockOwners(on: wanted.subtracting(locked), in: transaction)
            locked.formUnion(wanted)
            var standings = try await profiles.standings(of: buyers, in: transaction)
            standings.merge(try await profiles.standings(ofAllWith: gathered.merged, in: transaction)) { $1 }
            wanted = Set(standings.keys.map { Shard($0) })
            if wanted.isSubset(of: locked) { return standings.mapValues(\.canonicalID) }
        }
    }
}
