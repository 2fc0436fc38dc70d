import ConsentDomain
import Foundation
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/retention`: for how long which data is kept, and what services have let go of.
struct RetentionRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let policies: PolicyReader
    let profiles: ProfileStore

    func add(to router: ServiceRouter) {
        router.get("/v1/retention", scope: .privacyRead, touches: .definitions) { request in
            let version = try request.query("version", in: 1...Int.max, default: 0)
            guard
                let stored = try await RetentionPolicyStore.get(
                    version == 0 ? nil : Int64(version), in: pool)
            else { throw Self.unknown }
            return try Self.answer(stored)
        }
        router.put("/v1/retention", scope: .privacyWrite, touches: .changes) { try await put($0) }
        router.get("/v1/retention/without-basis", scope: .privacyRead, touches: .definitions) { _ in
            guard let pass = try await NoBasisStore.pass(in: pool) else { throw Self.noPass }
            return .json(pass.json)
        }
        router.get("/v1/retention/runs", scope: .privacyRead, touches: .definitions) { try await list($0) }
        router.put("/v1/retention/runs/{id}", access: .service) { try await record($0) }
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let bytes = try await request.body(maxBytes: RetentionPolicyText.maxBytes)
        let consent = try await policies.current(in: pool).policy
        let policy = try RetentionPolicyText.read(bytes, purposes: Set(consent.purposes.keys))
        let now = try await clock.now()
        let isTrial = try Self.isTrial(request)
        let inForce = try await CurrentRetention.read(in: pool)?.policy.noBasis
        if isTrial || policy.noBasis != inForce, let rule = policy.noBasis {
            let count = try await count(rule, at: now)
            if !isTrial, rule.isTooMany(count.withoutBasis, of: count.people) {
                throw Self.tooMany(count, rule)
            }
            if isTrial { return Self.answer(policy, count, rule) }
        }
        if isTrial { return Self.answer(policy, nil, nil) }
        let stored = try await pool.transaction { transaction in
            try await RetentionPolicyStore.lock(in: transaction)
            let before = try await RetentionPolicyStore.get(in: transaction)
            let version = before?.version ?? 0
            if let wanted = request.ifMatch, !wanted.contains("*"), !wanted.contains("\(version)") {
                throw Problem.preconditionFailed(
                    "read the policy again; `If-Match` must name its ETag, which is now \"\(version)\"")
            }
            let source = String(decoding: bytes, as: UTF8.self)
            if let before, before.source == source, version > 1 { return before }
            return try await RetentionPolicyStore.add(
                policy, source: source, after: version, by: request.caller.label, at: now, in: transaction)
        }
        return try Self.answer(stored)
    }

    /// Whether nothing is to be stored.
    private static func isTrial(_ request: ServiceRequest) throws(Problem) -> Bool {
        switch try request.query("dryRun") {
        case nil, "false": return false
        case "true": return true
        default: throw .badRequest("`dryRun` must be true or false")
        }
    }

    private func count(_ rule: NoBasisRule, at now: Instant) async throws -> NoBasisCount {
        let consent = try await policies.current(in: pool)
        return try await NoBasisCount.of(
            NoBasisLook(
                profiles: profiles, rule: rule, policy: consent.policy,
                grounds: try await NoBasisStore.groundsSince(consent, in: pool), now: now), in: pool)
    }

    private static func answer(
        _ policy: RetentionPolicy, _ count: NoBasisCount?, _ rule: NoBasisRule?
    ) -> ServiceResponse {
        var members: [String: JSON] = ["dryRun": true, "policy": policy.json, "noBasis": .null]
        if let count, let rule { members["noBasis"] = .object(count.members(by: rule)) }
        return .json(.object(members))
    }

    private static func tooMany(_ count: NoBasisCount, _ rule: NoBasisRule) -> Problem {
        Problem(
            status: .conflict, type: "too-many-without-basis",
            title: "More people would be erased than the policy lets go unasked",
            detail:
                "\(count.withoutBasis) of \(count.people) people that were looked at have no basis now, more than \(rule.mostPercent) %; "
                + "if that is meant, say so by `noBasis.mostPercent`",
            extensions: count.members(by: rule))
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let cursor = try Cursor.decode(request.query("cursor"), count: 2)
        let before = cursor.flatMap { parts in
            Int64(parts[0]).flatMap { at in
                UUID(uuidString: parts[1]).map { (endedAt: Instant(milliseconds: at), id: $0) }
            }
        }
        if cursor != nil, before == nil {
            throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        var kind: RetentionClass?
        if let text = try request.query("class") {
            guard let known = RetentionClass(rawValue: text) else {
                throw Problem.badRequest(
                    "`class` must be one of "
                        + RetentionClass.allCases.map(\.rawValue).joined(separator: ", "))
            }
            kind = known
        }
        let found = try await RetentionPolicyStore.runs(of: kind, before: before, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit
                ? page.last.map { Cursor.encode(["\($0.endedAt.milliseconds)", $0.id.uuidString]) } : nil)
    }

    /// What a service says that it has let go of.
    private func record(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: TypedID<PrivacyRequestTag>.self).uuid
        guard case .service(let service) = request.caller else {
            throw Problem.forbidden("a service reports what it has let go of itself")
        }
        let fields = try JSONFields(try await request.json(maxBytes: 256 << 10))
        try fields.allow(["class", "rule", "policyVersion", "boundary", "rows", "startedAt", "endedAt"])
        let rows = try fields.integer("rows")
        guard rows > 0 else { throw fields.problem("rows", expected: "more than nothing") }
        let run = RetentionPolicyStore.Run(
            id: id, service: service, kind: try fields.choice("class"),
            rule: try fields.optionalString("rule"), policyVersion: try fields.integer("policyVersion"),
            boundary: try fields.instant("boundary"), rows: rows,
            startedAt: try fields.instant("startedAt"), endedAt: try fields.instant("endedAt"))
        return try await pool.transaction { transaction in
            try await RetentionPolicyStore.record(run, in: transaction)
            return .empty()
        }
    }

    private static func answer(_ stored: RetentionPolicyStore.Stored) throws -> ServiceResponse {
        .json(
            [
                "version": .integer(stored.version), "policy": try JSONParser.parse(stored.body),
                "source": .string(stored.source), "createdAt": .string(stored.createdAt.rfc3339),
                "createdBy": .string(stored.createdBy),
            ], headers: [.eTag: "\"\(stored.version)\""])
    }

    private static let noPass = Problem.notFound(
        "no policy with `noBasis` has been in force for a sweep yet; PUT /v1/retention?dryRun=true counts now",
        type: "no-pass")
    private static let unknown = Problem.notFound(
        "no such version; without `version` the one in force is shown", type: "unknown-version")
}

extension RetentionPolicyStore.Run {
    fileprivate var json: JSON {
        [
            "id": .string(id.hyphenated), "service": .string(service.rawValue),
            "class": .string(kind.rawValue), "rule": rule.map { .string($0) } ?? .null,
            "policyVersion": .integer(policyVersion), "boundary": .string(boundary.rfc3339),
            "rows": .integer(rows), "startedAt": .string(startedAt.rfc3339),
            "endedAt": .string(endedAt.rfc3339),
        ]
    }
}

extension NoBasisCount {
    fileprivate func members(by rule: NoBasisRule) -> [String: JSON] {
        [
            "people": .integer(people), "withoutBasis": .integer(withoutBasis),
            "complete": .bool(isComplete), "mostPercent": .integer(Int64(rule.mostPercent)),
            "tooMany": .bool(rule.isTooMany(withoutBasis, of: people)),
        ]
    }
}

extension NoBasisPass {
    fileprivate var json: JSON {
        [
            "phase": .string(phase.rawValue), "policyVersion": .integer(policyVersion),
            "consentPolicyVersion": .integer(consentVersion), "boundary": .string(boundary.rfc3339),
            "people": .integer(people), "withoutBasis": .integer(withoutBasis), "filed": .integer(filed),
            "startedAt": .string(startedAt.rfc3339),
            "endedAt": endedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }
}
