import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing

/// Resolving inside a transaction: load and lock what the batch can touch, decide, write.
struct Resolution {
    private let store: ResolutionStore
    private let changes: ChangeStore
    private let timeline: TimelineStore
    private let webhooks: WebhookQueue

    init(key: IdentifierKey, vault: Vault) {
        store = ResolutionStore(key: key)
        changes = ChangeStore(key: key, vault: vault)
        timeline = TimelineStore(vault: vault)
        webhooks = WebhookQueue(store: ProfileStore(key: key, vault: vault))
    }

    /// A resolver over everything that the observations can touch.
    func resolver(
        for observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> Resolver {
        let owners = try await store.lockOwners(
            of: Set(observations.flatMap(\.allIdentifiers)), in: transaction)
        let named = observations.compactMap(\.profileID)
        let profiles = try await store.lockProfiles(Set(owners.values).union(named), in: transaction)
        return Resolver(owners: owners, profiles: profiles)
    }

    /// Writes what was decided; `traceparents` stand beside the resolver's facts.
    func write(
        _ resolver: Resolver, traceparents: [String?], at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        try await webhooks.queue(resolver, at: now, in: transaction)
        try await changes.write(resolver, in: transaction)
        let facts = zip(resolver.facts, traceparents)
            .map { TimelineStore.NewFact(fact: $0, traceparent: $1) }
        try await timeline.append(facts, at: now, in: transaction)
    }
}
