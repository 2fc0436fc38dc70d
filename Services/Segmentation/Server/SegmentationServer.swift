import Contracts
import Models
import Postgres
import ProfileStore
import Sealing
import SegmentationDomain
package import ServiceKit
import Streams

@main enum SegmentationServer {
    static func main() async { await ServiceProcess.main(segmentationService) }
}

/// What people are right now: segments and who is in them, scores, and journey stages, exact at every instant.
package let segmentationService = ServiceDefinition(
    name: .segmentation,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(
            resource: "V0002_history_and_snapshots",
            bytes: PackageResources.V0002_history_and_snapshots_sql),
        Migration(
            resource: "V0003_scores_and_stage", bytes: PackageResources.V0003_scores_and_stage_sql),
        Migration(resource: "V0004_next_rules", bytes: PackageResources.V0004_next_rules_sql),
        Migration(resource: "V0005_packed_states", bytes: PackageResources.V0005_packed_states_sql),
        Migration(
            resource: "V0006_consent_rechecks", bytes: PackageResources.V0006_consent_rechecks_sql),
        Migration(resource: "V0007_history_watch", bytes: PackageResources.V0007_history_watch_sql),
        Migration(
            resource: "V0008_touchpoint_models", bytes: PackageResources.V0008_touchpoint_models_sql),
        Migration(resource: "V0009_computed_traits", bytes: PackageResources.V0009_computed_traits_sql),
        Migration(resource: "V0010_rfm_models", bytes: PackageResources.V0010_rfm_models_sql),
        Migration(
            resource: "V0011_deadlines_put_off", bytes: PackageResources.V0011_deadlines_put_off_sql),
        Migration(
            resource: "V0012_next_scores_and_stages",
            bytes: PackageResources.V0012_next_scores_and_stages_sql),
        Migration(resource: "V0013_policy_version", bytes: PackageResources.V0013_policy_version_sql),
        Migration(resource: "V0014_accounts", bytes: PackageResources.V0014_accounts_sql),
        Migration(
            resource: "V0015_percentile_models", bytes: PackageResources.V0015_percentile_models_sql),
        Migration(resource: "V0016_left_behind", bytes: PackageResources.V0016_left_behind_sql),
        Migration(resource: "V0017_kept_evidence", bytes: PackageResources.V0017_kept_evidence_sql),
        Migration(resource: "V0018_account_turns", bytes: PackageResources.V0018_account_turns_sql),
        Migration(resource: "V0019_left_out", bytes: PackageResources.V0019_left_out_sql),
    ],
    openAPI: Contracts.segmentation, published: [.memberships],
    channels: [
        SegmentStore.channel, TouchpointModelStore.channel, PopulationModelStore.channel,
        AccountStore.channel,
    ]
) { context in
    let registry = SegmentRegistry(vault: context.vault)
    let policies = ConsentPolicies()
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try context.settings.identifierSecret()), vault: context.vault)
    let history = HistoryWatch(
        settle: try context.settings.duration("SEGMENTATION_SETTLE", default: .seconds(5)),
        pool: context.pool)
    let events = ProfileEventsWorker(registry: registry, history: history).consumer(in: context)
    let consents = ConsentsWorker(registry: registry).consumer(in: context)
    let deadlines = DeadlineWorker(
        pool: context.pool, registry: registry, history: history, logger: context.logger
    ).sweeper(in: context, after: [events, consents])
    return ServiceParts(
        routes: { router in
            SegmentRoutes(
                pool: context.pool, clock: context.clock, registry: registry, policies: policies
            ).add(to: router)
            ScoreRoutes(pool: context.pool, clock: context.clock, registry: registry).add(to: router)
            StageRoutes(pool: context.pool, clock: context.clock, registry: registry).add(to: router)
            let folding = TraitFolding()
            ScorecardRoutes(
                pool: context.pool, clock: context.clock, registry: registry, profiles: profiles,
                folding: folding
            ).add(to: router)
            ComputedTraitRoutes(
                pool: context.pool, clock: context.clock, registry: registry, profiles: profiles,
                folding: folding
            ).add(to: router)
            PreviewRoutes(
                pool: context.pool, clock: context.clock, registry: registry, policies: policies
            ).add(to: router)
            ExportRoutes(pool: context.pool, profiles: profiles).add(to: router)
            SnapshotRoutes(
                pool: context.pool,
                idempotency: Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
            ).add(to: router)
            SegmentHistoryRoutes(pool: context.pool, clock: context.clock).add(to: router)
            InteractionMatrixRoutes(pool: context.pool, clock: context.clock, registry: registry)
                .add(to: router)
            TouchpointModelRoutes(
                pool: context.pool,
                idempotency: Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
            ).add(to: router)
            for kind in PopulationModelKind.allCases {
                PopulationModelRoutes(
                    kind: kind, pool: context.pool,
                    idempotency: Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
                ).add(to: router)
            }
            MemberRoutes(pool: context.pool, clock: context.clock, registry: registry, profiles: profiles)
                .add(to: router)
        },
        workers: [
            events, consents, deadlines, BackfillWorker(registry: registry, context: context),
            PolicyFollower(registry: registry, policies: policies, context: context),
            AccountWorker(
                registry: registry, history: history, after: [events, consents], context: context),
            TouchpointLearner(registry: registry, context: context),
            PopulationModelLearner(registry: registry, context: context),
        ],
        privacy: SegmentationPrivacy(registry: registry, clock: context.clock).handler)
}
