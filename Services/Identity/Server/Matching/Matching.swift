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

    init(_ context: ServiceContext, resolution: Resolution, reading: ProfileReading) throws {
        let settings = try MatchingSettings(context.settings)
        let idempotency = Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
        let people = MatchingReading(reading: reading)
        let mapping = try MatchMapping(MatchMapping.standardSources)
        let online = OnlineMatching(
            people: people, settings: settings, mapping: mapping, logger: context.logger)
        let records = MatchingRecordStore(key: reading.store.key, days: context.vault.days)
        routes = MatchingRoutes(
            pool: context.pool, idempotency: idempotency, clock: context.clock, records: records,
            policies: resolution.policies)
        proposals = MatchingProposalRoutes(
            reading: reading,
            decisions: MatchingDecisions(
                resolution: resolution, records: records, notes: MergeNotes(days: context.vault.days)),
            idempotency: idempotency)
        lookups = MatchingLookupRoutes(online: online, people: people, policies: resolution.policies)
        let runner = MatchingRunner(
            people: people, records: records, policies: resolution.policies,
            application: MatchingApplication(resolution: resolution, records: records), settings: settings,
            clock: context.clock, machine: Instant.fromSystemClock, logger: context.logger)
        workers = [
            MatchingWorker(runner: runner, hub: context.hub, logger: context.logger),
            OnlineFollower(online: online, hub: context.hub, logger: context.logger),
            MatchingRecordPruner(
                pool: context.pool, kept: .days(settings.recordDays), clock: context.clock,
                logger: context.logger),
        ]
    }

    func add(to router: ServiceRouter) {
        routes.add(to: router)
        proposals.add(to: router)
        lookups.add(to: router)
    }
}
