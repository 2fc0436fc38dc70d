import Clients
import ConsentDomain
import Contracts
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
package import ServiceKit
import Streams

@main enum ConsentServer {
    static func main() async { await ServiceProcess.main(consentService) }
}

/// Reads the policy in force.
typealias PolicyReader = ConsentPolicyReader<ConsentPolicy>

/// Where the signed ends of the ledger go, within their directory.
let ledgerHeadsFile = "ledger-heads.ndjson"

/// Purposes and policies, the ledger of grants and withdrawals, and privacy requests.
package let consentService = ServiceDefinition(
    name: .consent,
    migrations: [
        Migration(resource: "V0001_initial", bytes: PackageResources.V0001_initial_sql),
        Migration(
            resource: "V0002_unmerged_consents", bytes: PackageResources.V0002_unmerged_consents_sql),
        Migration(
            resource: "V0003_reported_preferences",
            bytes: PackageResources.V0003_reported_preferences_sql),
        Migration(
            resource: "V0004_privacy_lifecycle", bytes: PackageResources.V0004_privacy_lifecycle_sql),
        Migration(resource: "V0005_restrictions", bytes: PackageResources.V0005_restrictions_sql),
        Migration(resource: "V0006_consent_policy", bytes: PackageResources.V0006_consent_policy_sql),
        Migration(resource: "V0007_opt_in", bytes: PackageResources.V0007_opt_in_sql),
        Migration(
            resource: "V0008_requests_of_the_version_before",
            bytes: PackageResources.V0008_requests_of_the_version_before_sql),
        Migration(resource: "V0009_lock_chains", bytes: PackageResources.V0009_lock_chains_sql),
        Migration(resource: "V0010_opt_in_limits", bytes: PackageResources.V0010_opt_in_limits_sql),
        Migration(resource: "V0011_result_parts", bytes: PackageResources.V0011_result_parts_sql),
        Migration(
            resource: "V0012_calls_of_requests", bytes: PackageResources.V0012_calls_of_requests_sql),
        Migration(resource: "V0013_retention", bytes: PackageResources.V0013_retention_sql),
        Migration(resource: "V0014_no_basis", bytes: PackageResources.V0014_no_basis_sql),
        Migration(
            resource: "V0015_audit_anchor_of_keys", bytes: PackageResources.V0015_audit_anchor_of_keys_sql),
        Migration(resource: "V0016_consent_heads", bytes: PackageResources.V0016_consent_heads_sql),
    ],
    openAPI: Contracts.consent, published: [.consents, .privacyRequests, .privacyChanges], auditLogs: [.keys]
) { context in
    let profiles = ProfileStore(
        key: IdentifierKey(secret: try context.settings.identifierSecret()), vault: context.vault)
    let policies = PolicyReader { try ConsentPolicy(json: $0) }
    let recorder = ConsentRecorder(profiles: profiles, policies: policies)
    let writer = ConsentWriter(recorder: recorder, pool: context.pool, clock: context.clock)
    let idempotency = Idempotency(pool: context.pool, clock: context.clock, vault: context.vault)
    let subjects = SubjectResolver(
        identity: IdentityClient(http: context.http), profiles: profiles, pool: context.pool)
    let desk = PrivacyDesk(profiles: profiles, recorder: recorder)
    let noBasis = NoBasisSweep(desk: desk, policies: policies, logger: context.logger)
    let intake = PrivacyIntake(subjects: subjects, pool: context.pool)
    let events = ProfileEventsWorker(
        recorder: recorder, preferences: PreferenceReading(profiles: profiles, logger: context.logger),
        logger: context.logger
    ).consumer(in: context)
    let deadlines = DeadlineWorker(
        pool: context.pool, desk: desk,
        rectification: Rectification(identity: IdentityClient(http: context.http), pool: context.pool),
        clock: context.clock)
    let pagesURL = context.settings.string("PREFERENCES_URL") ?? context.settings.url(of: .consent)
    let links = PersonLinks(pagesURL: pagesURL, tokens: context.tokens)
    let mailed = MailedForms(
        profiles: profiles, outbox: context.outbox,
        pagesURL: pagesURL.hasSuffix("/") ? String(pagesURL.dropLast()) : pagesURL)
    let optIns = OptInDesk(
        profiles: profiles, policies: policies, recorder: recorder, mailed: mailed)
    let choices = ChoiceDesk(
        profiles: profiles, policies: policies, recorder: recorder, desk: desk, mailed: mailed)
    let forms = PageForm(tokens: context.tokens)
    let proxies = try context.settings.trustedProxies()
    let signer = try HeadSigner(tokens: context.tokens)
    let exports = context.settings.string("LEDGER_HEADS_DIRECTORY").map { directory in
        let (pool, clock) = (context.pool, context.clock)
        return ChainExport(
            signer: signer,
            file: URL(filePath: directory, directoryHint: .isDirectory).appending(path: ledgerHeadsFile),
            logger: context.logger
        ) { try await HeadSigner.current(at: try await clock.now(), in: pool) }
    }
    let recall = try context.settings.string("LEDGER_HEADS_DIRECTORY").map { directory in
        RecallExport(
            list: RecallList(
                pool: context.pool, clock: context.clock,
                directory: URL(filePath: directory, directoryHint: .isDirectory)),
            every: try context.settings.duration("ERASURES_EVERY", default: .seconds(60)),
            logger: context.logger)
    }
    return ServiceParts(
        routes: { router in
            ConsentPolicyRoutes(pool: context.pool, clock: context.clock).add(to: router)
            PurposeRoutes(pool: context.pool, clock: context.clock).add(to: router)
            RetentionRoutes(
                pool: context.pool, clock: context.clock, policies: policies, profiles: profiles
            ).add(to: router)
            ConsentRoutes(
                pool: context.pool, clock: context.clock, profiles: profiles, policies: policies,
                recorder: recorder, writer: writer, subjects: subjects, idempotency: idempotency
            ).add(to: router)
            ConsentBatchRoutes(
                pool: context.pool, clock: context.clock, profiles: profiles, policies: policies,
                recorder: recorder, subjects: subjects
            ).add(to: router)
            PrivacyRequestRoutes(
                pool: context.pool, clock: context.clock, desk: desk, intake: intake, idempotency: idempotency
            ).add(to: router)
            PrivacyActionRoutes(
                pool: context.pool, clock: context.clock, desk: desk, idempotency: idempotency
            ).add(to: router)
            PrivacyBatchRoutes(
                pool: context.pool, clock: context.clock, desk: desk, intake: intake
            ).add(to: router)
            ConsentReceiptRoutes(
                pool: context.pool, profiles: profiles,
                controller: .init(
                    name: context.settings.string("CONTROLLER_NAME"),
                    contact: context.settings.string("CONTROLLER_CONTACT"))
            ).add(to: router)
            PreferenceRoutes(
                pool: context.pool, clock: context.clock, links: links, forms: forms,
                centre: PreferenceCentre(
                    profiles: profiles, policies: policies, recorder: recorder, desk: desk, forms: forms),
                subjects: subjects, proxies: proxies
            ).add(to: router)
            OptInFormRoutes(pool: context.pool, clock: context.clock, policies: policies).add(to: router)
            OptInRoutes(
                pool: context.pool, clock: context.clock, desk: optIns, subjects: subjects, proxies: proxies
            ).add(to: router)
            ChoiceRoutes(
                pool: context.pool, clock: context.clock, desk: choices,
                forms: ChoiceForm(tokens: context.tokens), proxies: proxies
            ).add(to: router)
            PrivacyDataRoutes(pool: context.pool, desk: desk, signer: signer).add(to: router)
            AuditRoutes(
                pool: context.pool, clock: context.clock, vault: context.vault, signer: signer
            ).add(to: router)
        },
        workers: [events, deadlines.sweeper(in: context)] + (exports.map { [$0] } ?? [])
            + (recall.map { [$0] } ?? []),
        privacy: ConsentPrivacy.handler(clock: context.clock, vault: context.vault),
        retention: { current, now, _ in
            ConsentRetention.tasks(by: current, at: now)
                + [noBasis.task(by: current, at: now)].compactMap { $0 }
        })
}
