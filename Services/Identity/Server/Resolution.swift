import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// Resolving inside a transaction: load and lock what the batch can touch, decide, write.
struct Resolution {
    /// What counts as an identifier.
    let policies: PolicyRegistry
    private let store: ResolutionStore
    private let changes: ChangeStore
    private let timeline: TimelineStore
    private let webhooks: WebhookQueue
    private let profiles: ProfileStore
    private var vault: Vault { profiles.vault }
    /// What others are to do.
    var outbox: Outbox { Outbox(schema: ServiceName.identity.schema, vault: vault) }

    init(key: IdentifierKey, vault: Vault, policies: PolicyRegistry = PolicyRegistry()) {
        self.policies = policies
        store = ResolutionStore(key: key)
        changes = ChangeStore(key: key)
        profiles = ProfileStore(key: key, vault: vault)
        timeline = TimelineStore(vault: vault)
        webhooks = WebhookQueue(store: profiles)
    }

    /// A resolver over everything that the events can touch, whose observations were read by the policy, and over the
    /// people of further profiles, who may come to hold whatever the observations say; and the keys of the people that the
    /// observations lead to.
    func resolver(
        for observations: [Observation], of events: [TrackingEvent], policy: IdentityPolicy,
        profiles others: Set<ProfileID> = [], in transaction: PostgresTransaction
    ) async throws -> (resolver: Resolver, keys: ProfileKeyring) {
        let named = Set(observations.compactMap(\.profileID)).union(others)
        let met = try await store.meet(
            Set(observations.flatMap(\.allIdentifiers)), naming: named, in: transaction)
        var snapshot = try await snapshot(of: Array(met.profiles.values), in: transaction)
        snapshot.owners = met.owners
        snapshot.shares = met.shares
        snapshot.seen = met.seen
        var roots = Self.growing(observations, snapshot)
        if !others.isEmpty {
            let joined = snapshot.profiles.filter { others.contains($0.id) }.map(\.canonicalID)
            roots = Set(roots).union(joined).sorted()
        }
        snapshot.traits = try await traits(
            of: Set(met.owners.values).union(named), named: policy.ruledTraits(of: events), in: transaction)
        snapshot.holdings = try await store.holdings(of: roots, policy: policy, in: transaction)
        return (Resolver(snapshot, policy: policy), try vault.profiles.reading(met.keys))
    }

    /// Which of the identifiers are of people who were erased; to be asked after the resolver was made.
    func tombstones(
        for observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> Tombstones {
        try await TombstoneStore(key: profiles.key).find(observations, in: transaction)
    }

    /// Which of the identifiers corrections took from people; to be asked after the resolver was made.
    func corrected(
        _ observations: [Observation], in transaction: PostgresTransaction
    ) async throws -> CorrectedNames {
        try await CorrectedNameStore(key: profiles.key).find(observations, in: transaction)
    }

    /// What is stored of traits that go together with it by a rule.
    private func traits(
        of ids: Set<ProfileID>, named names: Set<String>, in transaction: PostgresTransaction
    ) async throws -> [ResolverChanges.TraitKey: EffectiveTraits.Entry] {
        guard !names.isEmpty, !ids.isEmpty else { return [:] }
        var traits: [ResolverChanges.TraitKey: EffectiveTraits.Entry] = [:]
        for var stored in try await profiles.storedTraits(
            of: ids.sorted(), named: names.sorted(), in: transaction)
        {
            stored.rememberSource()
            traits[ResolverChanges.TraitKey(profileID: stored.profileID, name: stored.name)] = stored.entry
        }
        return traits
    }

    /// A resolver over the people of the profiles, which are locked.
    func resolver(
        profiles ids: Set<ProfileID>, in transaction: PostgresTransaction
    ) async throws -> Resolver {
        Resolver(
            try await snapshot(of: try await store.lockProfiles(ids, in: transaction), in: transaction))
    }

    private func snapshot(
        of profiles: [ProfileState], in transaction: PostgresTransaction
    ) async throws -> Resolver.Snapshot {
        let separated = profiles.filter { $0.isSeparated && $0.canonicalID == $0.id }.map(\.id).sorted()
        let (separations, ends) = try await store.separations(of: separated, in: transaction)
        let loaded = Set(profiles.map(\.id))
        var snapshot = Resolver.Snapshot()
        snapshot.profiles = profiles + ends.filter { !loaded.contains($0.id) }
        snapshot.separations = separations
        return snapshot
    }

    /// The people who may come to hold more by the observations: of most events nothing is new, and then it need not
    /// be asked what they hold.
    private static func growing(_ observations: [Observation], _ snapshot: Resolver.Snapshot) -> [ProfileID] {
        let canonical = Dictionary(
            snapshot.profiles.map { ($0.id, $0.canonicalID) }, uniquingKeysWith: { first, _ in first })
        var growing: Set<ProfileID> = []
        for observation in observations {
            let identifiers = observation.allIdentifiers
            let roots = Set(identifiers.compactMap { snapshot.owners[$0].map { canonical[$0] ?? $0 } })
            guard !roots.isEmpty else { continue }
            if roots.count > 1 || identifiers.contains(where: { snapshot.owners[$0] == nil }) {
                growing.formUnion(roots)
            }
        }
        return growing.sorted()
    }

    /// Writes what was decided; `traceparents` stand beside the resolver's facts, and `keys` are those of people that were
    /// read in this transaction.
    func write(
        _ resolver: Resolver, traceparents: [String?], having keys: ProfileKeyring = .empty, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await webhooks.queue(resolver, at: now, in: transaction)
        let owners = ChangeStore.owners(of: resolver.changes).union(TimelineStore.owners(of: resolver.facts))
        let keyring = try await vault.profiles.writing(
            owners, having: keys, new: Set(resolver.changes.created), in: transaction)
        let isAboutAccounts = !resolver.changes.accounts.isEmpty
        let day = isAboutAccounts ? try await vault.days.key(at: now) : nil
        try await changes.write(resolver, sealing: keyring, day: day, in: transaction)
        let facts = zip(resolver.facts, traceparents)
            .map { TimelineStore.NewFact(fact: $0, traceparent: $1) }
        try await publish(facts, sealing: keyring, at: now, in: transaction)
    }

    /// Makes facts known: every fact about who somebody is comes through here. Without a keyring it is for those that say
    /// which profiles there are, and nothing of the person.
    func publish(
        _ facts: [TimelineStore.NewFact], sealing keyring: ProfileKeyring = .empty, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let parted = facts.compactMap { new -> ProfileNotice? in
            guard case .unmerge(let id, let split, _, _, _, _) = new.fact else { return nil }
            return ProfileNotice(.unmerged, of: id, other: split)
        }
        if !parted.isEmpty { try await webhooks.queue(parted, at: now, in: transaction) }
        try await timeline.append(facts, sealing: keyring, at: now, in: transaction)
    }
}
