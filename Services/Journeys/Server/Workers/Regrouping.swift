import JourneysDomain
import Models
import Postgres
import ProfileStore
import Streams

/// Makes who is one person here what identity says now.
///
/// Facts about one person may lie in several shards, and these are read in any order. So a merge or its undoing is a sign
/// that something has changed, and what is true is asked of identity's tables, under the locks of everybody concerned: a
/// fact is committed with the change that it tells of, so whoever reads the last one sees how it ended. Where nothing
/// differs, nothing is done.
struct Regrouping {
    /// What made somebody look.
    struct Sign {
        var profiles: Set<ProfileID>
        /// The merge that was made.
        var made: MergeID?
        /// The merge that was undone.
        var undone: MergeID?
        var at: Instant
        var position: StreamPosition?
        var now: Instant
        var traceparent: String?
    }

    /// How it is now, and what is to be said of messages.
    struct Outcome {
        var grouping: Grouping
        /// Whether somebody was given back what is theirs.
        var hasParted: Bool
        var corrections: [IntentCorrection]
    }

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

    /// Brings everybody up to date whom the sign concerns, and tells delivery at once what is known by that. Returns
    /// everybody.
    func follow(_ sign: Sign) async throws -> Set<ProfileID> {
        let outcome = try await regroup(sign)
        // Where segments are asked, it is told with the fact that the merge was undone, and what segmentation says to it.
        if !catalog.asksSegments, !outcome.corrections.isEmpty {
            try await going(Self.occasion(sign, nil)).tell(outcome.corrections)
        }
        return outcome.grouping.profiles
    }

    /// The same, but leaves it to the caller to tell.
    func regroup(_ sign: Sign) async throws -> Outcome {
        var grouping = try await tables.grouping(of: sign.profiles, by: profiles)
        var corrections: [IntentCorrection] = []
        let torn = grouping.torn
        if !torn.isEmpty { corrections = try await part(torn, &grouping, sign) }
        let erased = grouping.erased
        let scattered = grouping.scattered.filter { !erased.contains($0.key) }
        if !scattered.isEmpty { try await join(scattered, &grouping, sign) }
        if !erased.isEmpty { _ = try await tables.erase(erased.sorted(), at: sign.now) }
        return Outcome(grouping: grouping, hasParted: !torn.isEmpty, corrections: corrections)
    }

    /// Gives everybody what is theirs of the journeys of people who were taken for one.
    private func part(
        _ people: [ProfileID: Set<ProfileID>], _ grouping: inout Grouping, _ sign: Sign
    ) async throws -> [IntentCorrection] {
        let members = Set(people.values.joined())
        let last =
            sign.undone == nil ? try await profiles.lastUndoneMerge(of: members, in: transaction) : nil
        let going = self.going(Self.occasion(sign, last))
        let outcome = try await going.outcome(
            for: try await going.sides(of: people, in: grouping), of: grouping.holders(of: members).sorted(),
            by: nil)
        for (id, members) in people.sorted(by: { $0.key < $1.key }) {
            try await tables.release(members.sorted(), to: id)
            grouping.hand(members, to: id)
        }
        try await going.write(outcome)
        return outcome.corrections
    }

    /// Hands the journeys of people who are one to the canonical profile, by one merge after the other.
    private func join(
        _ people: [ProfileID: Set<ProfileID>], _ grouping: inout Grouping, _ sign: Sign
    ) async throws {
        for id in people.keys.sorted() where grouping.holder(of: id) != id {
            try await tables.release([id], to: id)
            grouping.hand([id], to: id)
        }
        let members = Set(people.values.joined())
        let merges = try await profiles.standingMerges(among: members, in: transaction)
        var desk = try await ProfileDesk(
            grouping.holders(of: members), profiles: profiles, catalog: catalog, in: transaction)
        func merge(_ loser: ProfileID, into survivor: ProfileID, _ id: MergeID, at: Instant) {
            desk.merge(
                loser, into: survivor, mergeID: id, at: at, position: id == sign.made ? sign.position : nil,
                now: sign.now)
            grouping.hand(grouping.held(by: loser), to: survivor)
        }
        for made in merges where grouping.canonical(of: made.survivor) == grouping.canonical(of: made.merged)
        {
            let (survivor, loser) = (grouping.holder(of: made.survivor), grouping.holder(of: made.merged))
            guard survivor != loser else { continue }
            // Whoever is canonical stays.
            let isTurned = loser == grouping.canonical(of: loser)
            merge(isTurned ? survivor : loser, into: isTurned ? loser : survivor, made.id, at: made.at)
        }
        // Whom no merge joins that was seen, one joins that has just been made.
        let last = sign.made ?? merges.last?.id ?? Self.unnamed(sign)
        for (id, members) in people.sorted(by: { $0.key < $1.key }) {
            for holder in grouping.holders(of: members).sorted() where holder != id {
                merge(holder, into: id, last, at: sign.at)
            }
        }
        try await desk.commit(at: sign.now)
    }

    private func going(_ occasion: GoingThrough.Occasion) -> GoingThrough {
        GoingThrough(catalog: catalog, profiles: profiles, transaction: transaction, occasion: occasion)
    }

    private static func occasion(_ sign: Sign, _ last: MergeID?) -> GoingThrough.Occasion {
        GoingThrough.Occasion(
            mergeID: sign.undone ?? last ?? sign.made ?? unnamed(sign),
            position: sign.position, now: sign.now, traceparent: sign.traceparent)
    }

    /// A name for what identity doesn't tell (any more).
    private static func unnamed(_ sign: Sign) -> MergeID {
        MergeID(UUIDv7.derived(at: sign.at, from: "merge", sign.profiles.min()?.description ?? ""))
    }
}

extension ProfileDesk {
    /// Opens a desk at which everybody is apart who is apart by identity.
    static func open(
        _ ids: Set<ProfileID>, merging: Set<ProfileID> = [], profiles: ProfileStore, catalog: JourneyCatalog,
        at now: Instant, in transaction: PostgresTransaction
    ) async throws -> ProfileDesk {
        var desk = try await ProfileDesk(
            ids, merging: merging, profiles: profiles, catalog: catalog, in: transaction)
        guard !desk.astray.isEmpty else { return desk }
        try await desk.reload(
            try await Regrouping(catalog: catalog, profiles: profiles, transaction: transaction)
                .follow(Regrouping.Sign(profiles: desk.astray, at: now, now: now)))
        return desk
    }
}
