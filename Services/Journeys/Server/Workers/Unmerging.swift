import JourneysDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Gives the journeys of one person back to the two that they turn out to be, when a merge was undone.
///
/// Their events are known at once. Which segments they would have been in is told by segmentation, before or after: then
/// their journeys are gone through once more, and only then delivery is told of their messages, which it holds until it is.
struct Unmerging {
    let catalog: JourneyCatalog
    let profiles: ProfileStore
    let transaction: PostgresTransaction
    private let tables: ProfileTables

    init(catalog: JourneyCatalog, profiles: ProfileStore, transaction: PostgresTransaction) {
        self.catalog = catalog
        self.profiles = profiles
        self.transaction = transaction
        tables = ProfileTables(transaction: transaction, vault: profiles.vault)
    }

    /// What the fact says.
    struct Order {
        var profileID: ProfileID
        var split: ProfileID
        var members: [ProfileID]
        var mergeID: MergeID
        var at: Instant
        var position: StreamPosition
        var now: Instant
        var traceparent: String?
    }

    /// Takes the journeys apart. Of two who have been joined again in the meantime they stand as if they had been apart
    /// until then.
    func unmerge(_ order: Order) async throws {
        try await tables.lock(unmerging: order.mergeID)
        let outcome = try await regroup(order)
        let grouping = outcome.grouping
        try await tables.begin(order, holder: grouping.holder(of: order.profileID))
        let isOne = grouping.holder(of: order.profileID) == grouping.holder(of: order.split)
        if catalog.asksSegments, !isOne {
            try await settle(order.mergeID, at: order.position, now: order.now, order.traceparent)
            return
        }
        let corrections =
            isOne && !outcome.hasParted
            ? try await goThrough([order.profileID], by: nil, in: grouping, order) : outcome.corrections
        try await finish(corrections, among: grouping, order)
    }

    /// Takes what segmentation tells of one of the two.
    func take(
        _ history: MembershipHistory, at position: StreamPosition, now: Instant, _ traceparent: String?
    ) async throws {
        try await tables.lock(unmerging: history.mergeID)
        try await tables.keep(history, at: now)
        try await settle(history.mergeID, at: position, now: now, traceparent)
    }

    /// Goes through the journeys of the two once more and tells delivery of it, if all is known that it takes. Whoever
    /// has become part of somebody else in the meantime is gone through as part of them.
    private func settle(
        _ mergeID: MergeID, at position: StreamPosition, now: Instant, _ traceparent: String?
    ) async throws {
        guard let known = try await tables.unsettled(mergeID), known.told.count == 2 else { return }
        let order = Order(
            profileID: known.profileID, split: known.split, members: [known.holder], mergeID: mergeID,
            at: known.at, position: position, now: now, traceparent: traceparent)
        let grouping = try await regroup(order).grouping
        let told = known.told.filter { !grouping.erased.contains($0.profileID) }
        let corrections = try await goThrough(
            [known.profileID, known.split], by: try await histories(told, now: now), in: grouping, order)
        try await finish(corrections, among: grouping, order)
    }

    /// Goes through the journeys of the people of profiles, and returns what is to be said of their messages.
    private func goThrough(
        _ profiles: Set<ProfileID>, by histories: SegmentHistories?, in grouping: Grouping, _ order: Order
    ) async throws -> [IntentCorrection] {
        let holders = grouping.holders(of: profiles)
        let going = self.going(order)
        let sides = try await going.sides(
            of: Dictionary(uniqueKeysWithValues: holders.map { ($0, grouping.held(by: $0)) }), in: grouping)
        let outcome = try await going.outcome(for: sides, of: holders.sorted(), by: histories)
        try await going.write(outcome)
        return outcome.corrections
    }

    /// What was told, with the events that templates speak of.
    private func histories(_ told: [MembershipHistory], now: Instant) async throws -> SegmentHistories {
        let triggers = TriggerEvents(vault: profiles.vault)
        var histories: [MembershipHistory] = []
        for var history in told {
            for index in history.changes.indices {
                history.changes[index] = try await triggers.completed(
                    history.changes[index], catalog, now: now, in: transaction)
            }
            histories.append(history)
        }
        return SegmentHistories(histories)
    }

    private func regroup(_ order: Order) async throws -> Regrouping.Outcome {
        let concerned = try await profiles.profiles(partedBy: order.mergeID, in: transaction)
        return try await Regrouping(catalog: catalog, profiles: profiles, transaction: transaction)
            .regroup(
                Regrouping.Sign(
                    profiles: Set(order.members + concerned).union([order.profileID, order.split]),
                    undone: order.mergeID, at: order.at, position: order.position, now: order.now,
                    traceparent: order.traceparent))
    }

    private func going(_ order: Order) -> GoingThrough {
        GoingThrough(
            catalog: catalog, profiles: profiles, transaction: transaction,
            occasion: GoingThrough.Occasion(
                mergeID: order.mergeID, position: order.position, now: order.now,
                traceparent: order.traceparent))
    }

    /// Tells delivery what is true of the messages now, and wherever it may hold one, that all of it has been told.
    private func finish(
        _ corrections: [IntentCorrection], among grouping: Grouping, _ order: Order
    ) async throws {
        var places = grouping.profiles
        for holder in grouping.holders(of: grouping.profiles).sorted() {
            // Only an intent that may still be sent can be asked about.
            for told in try await tables.toldIntents(of: holder)
            where order.now - told.intent.at <= SendIntent.lifetime { places.insert(told.streamProfile) }
        }
        try await going(order).tell(corrections) { corrected in
            let ends = Dictionary(places.union(corrected).map { (Shard($0), $0) }, uniquingKeysWith: min)
            return ends.values.sorted().map {
                NewRecord(.unmerged(order.mergeID, at: order.at), of: $0, order.traceparent)
            }
        }
        try await tables.settle(order.mergeID, at: order.now)
    }
}
