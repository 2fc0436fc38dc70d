import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing
import Streams

/// Makes one person of the two sides of a pair, in a resolver over everything that this can touch.
///
/// A record becomes a profile of its own first, by a call as an upsert makes it, and is merged then: whoever takes the merge
/// back takes back what the record has brought, and nothing else. What it says comes last, when its id leads to whom it is
/// of.
struct MatchingLinking: Sendable {
    let policy: IdentityPolicy
    private(set) var resolver: Resolver
    /// Of people that were read.
    let keys: ProfileKeyring
    private let identifiers: [IdentifierPlace: Identifier]
    private let records: [IdentifierPlace: MatchingRecordStore.Stored]
    /// Records of people who were erased after they had been brought.
    private var erased: Set<IdentifierPlace> = []

    /// Why a record is not made anybody's: nothing is left of it.
    struct RecordGone: Error {}

    /// Reads and locks what pairs can touch.
    init(
        _ proposals: [MatchingProposal], _ resolution: Resolution, _ store: MatchingRecordStore,
        in transaction: PostgresTransaction
    ) async throws {
        let sides = proposals.flatMap(\.sides)
        let profiles = Set(sides.compactMap(\.end.profileID))
        var identifiers: [IdentifierPlace: Identifier] = [:]
        for side in sides {
            guard let place = side.end.record, identifiers[place] == nil else { continue }
            identifiers[place] = try await store.identifier(side.name, at: place)
        }
        self.identifiers = identifiers
        guard !identifiers.isEmpty else {
            (policy, records, keys) = (.standard, [:], .empty)
            resolver = try await resolution.resolver(profiles: profiles, in: transaction)
            return
        }
        let policy = try await resolution.policies.current(in: transaction)
        let records = try await store.latest(identifiers.keys, in: transaction)
        let observations = identifiers.map { place, identifier in
            Observation(
                messageID: "", sourceID: .profileAPI,
                identifiers: records[place]?.record.identifiers(policy) ?? [identifier], at: .distantPast,
                receivedAt: .distantPast, policy: policy)
        }
        (self.policy, self.records) = (policy, records)
        (resolver, keys) = try await resolution.resolver(
            for: observations, of: [], policy: policy, profiles: profiles, in: transaction)
        let brought = records.map { place, stored in
            (
                place,
                Observation(
                    messageID: "", sourceID: .profileAPI, identifiers: stored.record.identifiers(policy),
                    at: stored.origin.broughtAt, receivedAt: stored.origin.broughtAt, policy: policy)
            )
        }
        let tombstones = try await resolution.tombstones(for: brought.map(\.1), in: transaction)
        guard !tombstones.isEmpty else { return }
        for (place, observation) in brought
        where tombstones.cover(observation, isKnown: { resolver.owner(of: $0) != nil }) {
            erased.insert(place)
        }
    }

    /// Who a side is by now.
    func now(_ end: MatchingEnd) -> MatchingEnd {
        switch end {
        case .profile(let id): .profile(resolver.root(of: id))
        case .record(let place):
            identifiers[place].flatMap { resolver.owner(of: $0) }.map { .profile(resolver.root(of: $0)) }
                ?? end
        }
    }

    /// Whether there is anything left of a side: of somebody erased there is not.
    func isThere(_ end: MatchingEnd) -> Bool {
        switch now(end) {
        case .profile(let id): resolver.profile(id).map { !$0.isErased } ?? false
        case .record(let place): records[place] != nil && !erased.contains(place)
        }
    }

    /// Whether a side has a `userId`.
    func isKnown(_ end: MatchingEnd) -> Bool {
        switch now(end) {
        case .profile(let id): resolver.profile(id)?.isKnown ?? false
        case .record(let place): place.kind == .userID
        }
    }

    /// Whether a record of the two has an identifier that leads to somebody who is neither.
    func leadsElsewhere(_ left: MatchingEnd, _ right: MatchingEnd) -> Bool {
        let people = [now(left), now(right)].compactMap(\.profileID)
        return [left, right].contains { end in
            guard case .record(let place) = now(end), let stored = records[place] else { return false }
            return stored.record.identifiers(policy).contains { identifier in
                resolver.owner(of: identifier).map { !people.contains(resolver.root(of: $0)) } ?? false
            }
        }
    }

    /// Joins the two, who are there and not one person.
    mutating func join(
        _ left: MatchingEnd, _ right: MatchingEnd, because order: MergeOrder
    ) throws -> ResolverChanges.Merge {
        guard isThere(left), isThere(right) else { throw RecordGone() }
        let members = [try member(left, at: order.at), try member(right, at: order.at)]
        let merge = try resolver.merge(members[0].profileID, with: members[1].profileID, because: order)
        for case (_, let stored?) in members {
            let root = resolver.root(of: merge.survivor)
            let particulars = stored.record.particulars(stored.origin, policy, at: order.at) { identifier in
                resolver.owner(of: identifier).map { resolver.root(of: $0) != root } ?? false
            }
            try resolver.resolve(particulars)
        }
        return merge
    }

    /// The profile that a side is, and the record where it has become one just now.
    private mutating func member(
        _ end: MatchingEnd, at now: Instant
    ) throws -> (profileID: ProfileID, introduced: MatchingRecordStore.Stored?) {
        switch end {
        case .profile(let id): return (id, nil)
        case .record(let place):
            if let owner = identifiers[place].flatMap({ resolver.owner(of: $0) }) { return (owner, nil) }
            guard let stored = records[place] else { throw RecordGone() }
            let event = stored.record.introduction(stored.origin, at: now)
            let said = Observation(event, policy: policy)
            // A policy that was changed since may know no such ids.
            guard said.allIdentifiers == [stored.record.identifier],
                let placement = try resolver.resolve(event, as: said)
            else { throw RecordGone() }
            return (placement.arrivedUnder, stored)
        }
    }
}
