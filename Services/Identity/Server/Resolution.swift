import IdentityDomain
import Models
import Postgres
import ProfileStore

/// Resolving inside a transaction: load and lock what the batch can touch, decide, write.
struct Resolution {
    private let store: ResolutionStore
    private let changes: ChangeStore
    private let timeline = TimelineStore()

    init(key: IdentifierKey) {
        store = ResolutionStore(key: key)
        changes = ChangeStore(key: key)
    }

    /// A resolver over everything that the observations can touch.
    func resolver(
        for observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> Resolver {
        let owners = try await store.lockOwners(
            of: Set(observations.flatMap(\.allIdentifiers)), in: transaction)
        let named = observations.compactMap(\.profileID)
        return try await resolver(
            owners: owners, profiles: Set(owners.values).union(named), in: transaction)
    }

    /// A resolver over the people of the profiles, which are locked.
    func resolver(
        owners: [Identifier: ProfileID] = [:], profiles ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> Resolver {
        let profiles = try await store.lockProfiles(ids, in: transaction)
        let separated = profiles.filter { $0.isSeparated && $0.canonicalID == $0.id }.map(\.id).sorted()
        let (separations, ends) = try await store.separations(of: separated, in: transaction)
        let loaded = Set(profiles.map(\.id))
        return Resolver(
            owners: owners, profiles: profiles + ends.filter { !loaded.contains($0.id) },
            separations: separations)
    }

    /// Writes what was decided; `traceparents` stand beside the resolver's facts.
    func write(
        _ resolver: Resolver, traceparents: [String?], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await changes.write(resolver, in: transaction)
        let facts = zip(resolver.facts, traceparents)
            .map { TimelineStore.NewFact(fact: $0, traceparent: $1) }
        try await publish(facts, at: now, in: transaction)
    }

    /// Makes facts known: every fact about who somebody is comes through here.
    func publish(
        _ facts: [TimelineStore.NewFact], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await timeline.append(facts, at: now, in: transaction)
    }
}
