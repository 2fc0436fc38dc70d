import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit

/// What consent itself does about privacy requests.
enum ConsentPrivacy {
    static func handler(clock: ServiceClock, vault: Vault) -> PrivacyHandler {
        PrivacyHandler(
            access: { request, transaction in try await access(request, vault: vault, in: transaction) },
            erase: { request, transaction in
                try await forget(request.profileIDs, at: clock.now(), in: transaction)
            })
    }

    /// How many ledger entries an answer may hold; a person has dozens.
    private static let entryLimit = 100_000

    private static func access(
        _ request: PrivacyRequest, vault: Vault, in transaction: PostgresTransaction
    ) async throws -> JSON {
        let entries = try await LedgerStore.entries(
            of: request.profileIDs, before: nil, limit: entryLimit, vault: vault, in: transaction)
        let standing = try await ConsentStateStore.standing(of: request.profileIDs, in: transaction)
        let requests = try await PrivacyRequestStore.requests(of: request.profileIDs, in: transaction)
        var told: [JSON] = []
        for request in requests {
            told.append(
                request.json(
                    steps: try await PrivacyStepStore.steps(of: request.id, vault: vault, in: transaction)))
        }
        return [
            "consents": .array(standing.map(\.json)), "ledger": .array(entries.map(\.json)),
            "privacyRequests": .array(told),
            "optIns": .array(
                try await OptInStore.waiting(of: request.profileIDs, vault: vault, in: transaction)),
            "reportedPreferences": .array(
                try await PreferenceStore.reports(of: request.profileIDs, in: transaction)),
        ]
    }

    /// Destroys what ties the ledger to the profiles, their standing decisions, and what was found for them.
    ///
    /// The entries stay as proof that somebody granted or withdrew and that nothing was removed; nothing in them
    /// leads to the person any more. What they have withdrawn goes on standing until identity has erased them: that may
    /// take a while, in which others still know whom to write to.
    static func forget(
        _ profiles: [ProfileID], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> JSON {
        _ = try await LedgerStore.lockChains(Set(profiles.map { Shard($0) }), in: transaction)
        let entries = try await LedgerStore.detach(profiles, at: now, in: transaction)
        try await DecisionLock.take(for: .deciding, of: profiles, in: transaction)
        try await ConsentStateStore.note(changesOf: profiles, in: transaction)
        let states = try await ConsentStateStore.standing(of: profiles, in: transaction).count
        try await ConsentStateStore.forget(profiles, in: transaction)
        try await RestrictionStore.forget(profiles, in: transaction)
        let findings = try await PrivacyResultStore.dropFindings(of: profiles, in: transaction)
        let details = try await PrivacyRequestStore.dropDetails(of: profiles, in: transaction)
        let reports = try await PreferenceStore.remove(profiles, in: transaction)
        let answers = try await IdempotencyStore.drop(profiles, in: transaction)
        let optIns = try await OptInStore.forget(profiles, in: transaction)
        return [
            "ledgerEntriesDetached": .integer(Int64(entries)), "consentStates": .integer(Int64(states)),
            "accessFindings": .integer(Int64(findings)), "keptAnswers": .integer(Int64(answers)),
            "reportedPreferences": .integer(Int64(reports)), "requestDetails": .integer(Int64(details)),
            "optIns": .integer(Int64(optIns)),
        ]
    }
}
