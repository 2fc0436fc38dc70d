import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Takes in what callers say of people, as if each item were an identify call: the resolver decides who is meant, and
/// it stands on the timeline, so that everything that follows the facts follows these.
struct Upserts {
    let resolution: Resolution
    let reading: ProfileReading

    /// An item that was read, with the id that its fact has.
    struct Item {
        let upsert: ProfileUpsert
        let messageID: String
    }

    /// A verdict for each item, in their order. Fails with `RetryLater` when another instance meets one of the people
    /// for the first time at the same time, and with a 412 when the first item's profile is in none of the versions
    /// `wanted`.
    func run(
        _ items: [Result<Item, ItemRefusal>], onlyIf wanted: [String]? = nil, traceparent: String?,
        at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> [UpsertVerdict] {
        let policy = try await resolution.policies.current(in: transaction)
        let events = items.map { item in
            item.flatMap { item -> Result<TrackingEvent, ItemRefusal> in
                if let refusal = item.upsert.refusal(by: policy) { return .failure(refusal) }
                return .success(item.upsert.event(messageID: item.messageID, now: now))
            }
        }
        let accepted = events.compactMap { try? $0.get() }
        let observations = accepted.map { Observation($0, policy: policy) }
        guard !observations.isEmpty else {
            return events.compactMap { if case .failure(let refusal) = $0 { .refused(refusal) } else { nil } }
        }
        var (resolver, keys) = try await resolution.resolver(
            for: observations, of: accepted, policy: policy, in: transaction)
        let tombstones = try await resolution.tombstones(for: observations, in: transaction)
        // Under the locks that the resolver's rows have.
        var known = try await Known(observations, policy: policy, reading: reading, in: transaction)
        if let wanted, let first = observations.first { try known.check(first, against: wanted) }
        let verdicts = events.map { event -> UpsertVerdict in
            switch event {
            case .failure(let refusal): .refused(refusal)
            case .success(let event): take(event, policy, into: &resolver, &known, tombstones)
            }
        }
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in traceparent }, having: keys, at: now,
            in: transaction)
        return verdicts
    }

    private func take(
        _ event: TrackingEvent, _ policy: IdentityPolicy, into resolver: inout Resolver, _ known: inout Known,
        _ tombstones: Tombstones
    ) -> UpsertVerdict {
        if !tombstones.isEmpty,
            tombstones.cover(Observation(event, policy: policy), isKnown: { resolver.owner(of: $0) != nil })
        {
            return .refused(
                ItemRefusal(
                    "what was known of this person then has been erased since; if it is true of them now, leave it out",
                    at: "occurredAt"))
        }
        if let (id, withheld) = known.owner(of: event) { return .unchanged(id, withheld: withheld) }
        do {
            guard let placement = try resolver.resolve(event) else {
                return .refused(
                    ItemRefusal("everything known of this person was erased a moment ago; send it again"))
            }
            known.forget(event)
            return placement.created
                ? .created(placement.profileID, withheld: resolver.withheld)
                : .updated(placement.profileID, withheld: resolver.withheld)
        } catch {
            switch error {
            case .nobody: return .refused(ItemRefusal("the identifiers lead to nobody", at: "identifiers"))
            case .unknownProfile: return .refused(ItemRefusal("there is no such profile"))
            }
        }
    }
}

/// What was known before a batch, to tell items that say nothing new.
private struct Known {
    private let policy: IdentityPolicy
    private var owners: [Identifier: ProfileID]
    private var profiles: [ProfileID: ProfileView]

    init(
        _ observations: [Observation], policy: IdentityPolicy, reading: ProfileReading,
        in transaction: PostgresTransaction
    ) async throws {
        self.policy = policy
        owners = try await reading.store.canonicalIDs(
            of: Set(observations.flatMap(\.allIdentifiers)), in: transaction)
        let views = try await reading.views(of: Array(Set(owners.values)), in: transaction)
        profiles = Dictionary(
            views.map { ($0.person.profileID, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The profile that an event says nothing new of, and what in it is no identifier.
    func owner(of event: TrackingEvent) -> (id: ProfileID, withheld: [JSON])? {
        let observation = Observation(event, policy: policy)
        let leads = observation.allIdentifiers.map { owners[$0] }
        guard let first = leads.first, let id = first, leads.allSatisfy({ $0 == id }),
            let profile = profiles[id]
        else { return nil }
        let values = profile.values
        guard event.traits.allSatisfy({ name, value in values[name] ?? .null == value }) else { return nil }
        return (id, observation.refused)
    }

    /// Holds the profile that an observation means to the versions that its caller has seen.
    func check(_ observation: Observation, against wanted: [String]) throws(Problem) {
        let owner = observation.allIdentifiers.lazy.compactMap { owners[$0] }.first
        guard let profile = owner.flatMap({ profiles[$0] }) else {
            throw .preconditionFailed(
                "nobody is known by these identifiers; leave `If-Match` out to make a profile")
        }
        guard !wanted.contains("*"), !wanted.contains(profile.etag.replacing("\"", with: "")) else { return }
        var problem = Problem.preconditionFailed(
            "read the profile again; `If-Match` must name its ETag, which is now the one of this answer")
        problem.headers[.eTag] = profile.etag
        throw problem
    }

    /// The people of an event are not told any more from what was known: it has changed.
    mutating func forget(_ event: TrackingEvent) {
        for identifier in Observation(event, policy: policy).allIdentifiers {
            if let id = owners[identifier] { profiles[id] = nil }
        }
    }
}
