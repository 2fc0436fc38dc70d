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
    let profiles: ProfileStore
    let recorder: ConsentRecorder
    let subjects: SubjectResolver
    let idempotency: Idempotency

    func add(to router: ServiceRouter) {
        router.post("/v1/consents", scope: .consentWrite) { try await record($0) }
        router.get("/v1/profiles/{id}/consents", scope: .consentRead) { try await consents(of: $0) }
    }

    private func record(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(["subject", "purpose", "action", "source", "textVersion", "occurredAt", "evidence"])
        let subject = try Subject(fields)
        let purpose = try fields.text("purpose", expected: purposeIDRule, Purpose.isID)
        let action = try fields.choice("action", as: ConsentAction.self)
        let source = try fields.text("source", expected: labelRule, Purpose.isLabel)
        let textVersion =
            fields["textVersion"] == nil
            ? nil : try fields.text("textVersion", expected: labelRule, Purpose.isLabel)
        let occurredAt = try fields.optionalInstant("occurredAt")
        let given = try fields.objectIfPresent("evidence")
        // Before the subject is resolved: a mistake must not make a profile.
        guard let known = try await PurposeStore.get(purpose, in: pool) else { throw PurposeRoutes.unknown }
        let profileID = try await subjects.resolve(subject)
        var evidence: [String: JSON] = ["kind": "api", "caller": .string(request.caller.label)]
        if let occurredAt { evidence["occurredAtAsSent"] = .string(occurredAt.rfc3339) }
        if !given.isEmpty { evidence["given"] = .object(given) }
        let proof = JSON.object(evidence)
        return try await idempotency.run(request, body: body) { now, transaction in
            let signal = ConsentSignal(
                purpose: purpose, action: action, source: source,
                textVersion: textVersion ?? (action == .grant ? known.purpose.textVersion : nil),
                occurredAt: occurredAt ?? now, evidence: proof)
            let recorded = try await recorder.record(
                [NewDecision(profileID: profileID, signal: signal)], at: now,
                traceparent: request.traceparent, in: transaction)
            guard let recorded = recorded.first else { throw SubjectResolver.unknown }
            let standing = try await ConsentStateStore.standing(of: [recorded.canonicalID], in: transaction)
                .first { $0.purpose == purpose }
            guard case .object(var answer) = recorded.entry.json else { throw SubjectResolver.unknown }
            answer["profileId"] = .string(recorded.canonicalID.description)
            answer["standing"] = standing?.json ?? .null
            return Idempotency.Outcome(
                status: .created, body: .object(answer), profileID: recorded.entry.profileID)
        }
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
        return .json([
            "profileId": .string(person.profileID.description),
            "consents": .array(try await standings(of: person)),
            "ledger": [
                "items": .array(page.map(\.json)),
                "nextCursor": entries.count > limit
                    ? page.last.map { .string(Cursor.encode([$0.id.description])) } ?? .null : .null,
            ],
        ])
    }

    /// Each purpose with the decision that stands and what follows from it.
    private func standings(of person: Person) async throws -> [JSON] {
        // A merge that identity has made may not have been folded yet: fold the members here.
        var decisions: [String: ConsentDecision] = [:]
        for standing in try await ConsentStateStore.standing(of: person.memberIDs, in: pool) {
            decisions[standing.purpose] = mergedConsent(decisions[standing.purpose], standing.decision)
        }
        let purposes = try await PurposeStore.list(in: pool)
        let bases = Dictionary(
            purposes.map { ($0.purpose.id, $0.purpose.legalBasis) }, uniquingKeysWith: { first, _ in first })
        return Set(bases.keys).union(decisions.keys).sorted().map { purpose in
            let decision = decisions[purpose]
            let permission = permits(bases[purpose], decision)
            return [
                "purpose": .string(purpose),
                "legalBasis": bases[purpose].map { .string($0.rawValue) } ?? .null,
                "state": decision.map { .string($0.state.rawValue) } ?? .null,
                "at": decision.map { .string($0.at.rfc3339) } ?? .null,
                "ledgerEntry": decision.map { .string($0.entry.description) } ?? .null,
                "permitted": .bool(permission.isPermitted),
                "reason": permission.reason.map { .string($0) } ?? .null,
            ]
        }
    }
}
