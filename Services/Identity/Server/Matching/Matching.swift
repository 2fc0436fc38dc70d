import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import ServiceLifecycle

/// Probabilistic matching, put together.
struct Matching: Sendable {
    private let routes: MatchingRoutes
    private let proposals: MatchingProposalRoutes
    private let lookups: MatchingLookupRoutes
    let workers: [any Service]

    init(
        _ context: ServiceContext, resolution: Resolution, reading: ProfileReading, merging: Merging
    ) throws {
        let settings = try MatchingSettings(context.settings)
        let idempotency = Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
        let people = MatchingReading(reading: reading)
        let mapping = try MatchMapping(MatchMapping.standardSources)
        let online = OnlineMatching(
            people: people, settings: settings, mapping: mapping, logger: context.logger)
        routes = MatchingRoutes(pool: context.pool, idempotency: idempotency, clock: context.clock)
        proposals = MatchingProposalRoutes(
            reading: reading,
            decisions: MatchingDecisions(
                merging: merging, key: reading.store.key, notes: MergeNotes(days: context.vault.days)),
            idempotency: idempotency)
        lookups = MatchingLookupRoutes(online: online, people: people)
        let runner = MatchingRunner(
            people: people, application: MatchingApplication(resolution: resolution), settings: settings,
            clock: context.clock, machine: Instant.fromSystemClock, logger: context.logger)
        workers = [
            MatchingWorker(runner: runner, hub: context.hub, logger: context.logger),
            OnlineFollower(online: online, hub: context.hub, logger: context.logger),
        ]
    }

    func add(to router: ServiceRouter) {
        routes.add(to: router)
        proposals.add(to: router)
        lookups.add(to: router)
    }
}
