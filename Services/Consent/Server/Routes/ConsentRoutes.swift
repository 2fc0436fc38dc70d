import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit

/// `/v1/consents` and a profile's consents.
struct ConsentRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let writer: ConsentWriter
    let subjects: SubjectResolver
    let idempotency: Idempotency

    /// How old the policy may be by which it is seen whether there is such a purpose.
    static let policyAge = Duration.seconds(1)

    func add(to router: ServiceRouter) {
        router.post("/v1/consents", scope: .consentWrite, touches: .people) { try await record($0) }
        router.get("/v1/profiles/{id}/consents", scope: .consentRead, touches: .people) {
            try await consents(of: $0)
        }
    }

    private func record(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let submission = try ConsentSubmission(try JSONFields(body))
        // Before the subject is resolved: a mistake must not make a profile.
        let policy = try await policies.recent(Self.policyAge, in: pool).policy
        guard submission.isKnown(to: policy) else { throw PurposeRoutes.unknown }
        let hasKey = try Idempotency.key(of: request) != nil
        let profileID =
            if !hasKey, case .profile(let id) = submission.subject {
                // Whether there is such a profile is seen when the decision is recorded.
                id
            } else {
                try await subjects.resolve(submission.subject)
            }
        guard hasKey else {
            let decision = NewDecision(
                profileID: profileID,
                signal: submission.signal(
                    by: policy, at: try await clock.now(), by: request.caller, via: "api"),
                traceparent: request.traceparent, auditDuty: request.auditDuty)
            guard let written = try await writer.write(decision) else { throw SubjectResolver.unknown }
            return .json(Self.answer(written), status: .created)
        }
        return try await idempotency.run(request, body: body) { now, transaction in
            let signal = submission.signal(by: policy, at: now, by: request.caller, via: "api")
            let recorded = try await recorder.record(
                [NewDecision(profileID: profileID, signal: signal, traceparent: request.traceparent)],
                at: now,
                in: transaction)
            guard let recorded = recorded.first else { throw SubjectResolver.unknown }
            return Idempotency.Outcome(
                status: .created, body: Self.answer(recorded), profileID: recorded.entry.profileID)
        }
    }

    private static func answer(_ recorded: RecordedDecision) -> JSON {
        var answer = recorded.entry.json.object ?? [:]
        answer["profileId"] = .string(recorded.canonicalID.description)
        answer["standing"] = recorded.standing?.json ?? .null
        return .object(answer)
    }

    private func consents(of request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: ProfileID.self)
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let cursor = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let before = cursor.flatMap { LedgerEntryID($0) }
        if cursor != nil, before == nil {
            throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        guard let person = try await profiles.person(id, in: pool), person.erasedAt == nil else {
            throw SubjectResolver.unknown
        }
        let entries = try await LedgerStore.entries(
            of: person.memberIDs, before: before, limit: limit + 1, vault: profiles.vault, in: pool)
        let page = entries.prefix(limit)
        let decisions = try await decisions(of: person)
        return .json([
            "profileId": .string(person.profileID.description),
            "consents": .array(try await standings(decisions)),
            "wishes": Self.wishes(decisions),
            "ledger": [
                "items": .array(page.map(\.json)),
                "nextCursor": entries.count > limit
                    ? page.last.map { .string(Cursor.encode([$0.id.description])) } ?? .null : .null,
            ],
        ])
    }

    /// What stands, of purposes and of wishes.
    private func decisions(of person: Person) async throws -> [String: ConsentDecision] {
        // A merge that identity has made may not have been folded yet: fold the members here.
        var decisions: [String: ConsentDecision] = [:]
        for standing in try await ConsentStateStore.standing(of: person.memberIDs, in: pool) {
            decisions[standing.purpose] = mergedConsent(decisions[standing.purpose], standing.decision)
        }
        return decisions
    }

    /// By which channels somebody does not want to be reached, and how often at most.
    private static func wishes(_ decisions: [String: ConsentDecision]) -> JSON {
        let words = decisions.mapValues(ConsentWord.init)
        let channels = decisions.keys.compactMap(ContactWish.channel(named:))
        return [
            "refusedChannels": .array(
                channels.filter { ContactWish.refuses($0, words) }.sorted().map(JSON.string)),
            "frequency": ContactFrequency(words).map { .string($0.rawValue) } ?? .null,
        ]
    }

    /// Each purpose with the decision that stands and what follows from it.
    private func standings(_ decisions: [String: ConsentDecision]) async throws -> [JSON] {
        let words = decisions.mapValues(ConsentWord.init)
        let now = try await clock.now()
        let current = try await policies.current(in: pool)
        return Set(current.policy.purposes.keys).union(decisions.keys.filter(Purpose.isID)).sorted().map {
            id in
            let (purpose, decision) = (current.policy.purposes[id], decisions[id])
            let permission = permits(current.policy, words, ConsentUse(purposes: [id]), now: now)
            let expiry = words[id].flatMap { purpose?.expiry(of: $0) }
            return [
                "purpose": .string(id),
                "legalBasis": purpose.map { .string($0.legalBasis.rawValue) } ?? .null,
                "state": decision.map { .string($0.state.rawValue) } ?? .null,
                "at": decision.map { .string($0.at.rfc3339) } ?? .null,
                "expiresAt": expiry.map { .string($0.rfc3339) } ?? .null,
                "ledgerEntry": decision.map { .string($0.entry.description) } ?? .null,
                "permitted": .bool(permission.isPermitted),
                "reason": permission.denial.map { .string($0.reason.rawValue) } ?? .null,
                "policyVersion": .integer(current.version),
            ]
        }
    }
}
