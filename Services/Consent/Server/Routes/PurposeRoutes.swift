import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// `/v1/purposes`: what data may be used for.
struct PurposeRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock

    func add(to router: ServiceRouter) {
        router.get("/v1/purposes", scope: .consentRead, touches: .definitions) { try await list($0) }
        router.get("/v1/purposes/{id}", scope: .consentRead, touches: .definitions) { try await get($0) }
        router.put("/v1/purposes/{id}", scope: .consentWrite, touches: .changes) { try await put($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let after = try Cursor.decode(request.query("cursor"), count: 1)?.first
        let found = try await PurposeStore.page(after: after, limit: limit + 1, in: pool)
        let page = found.prefix(limit)
        return .page(
            page.map(\.json),
            nextCursor: found.count > limit ? page.last.map { Cursor.encode([$0.purpose.id]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let stored = try await PurposeStore.get(try Self.id(request), in: pool) else {
            throw Self.unknown
        }
        return .json(stored.json, headers: [.eTag: stored.etag])
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try Self.id(request)
        let fields = try JSONFields(try await request.json(maxBytes: 64 << 10))
        try fields.allow(["id", "name", "legalBasis", "textVersion"])
        if let named = fields["id"], named.string != id {
            throw fields.problem("id", expected: "\"\(id)\", as in the path")
        }
        let written = Purpose(
            id: id, name: try fields.text("name", limit: 256), legalBasis: try fields.choice("legalBasis"),
            textVersion: try fields.text("textVersion", expected: labelRule, Purpose.isLabel))
        let now = try await clock.now()
        let (stored, created) = try await pool.transaction { transaction in
            try await ConsentPolicyStore.lock(in: transaction)
            let version = try await PurposeStore.lockVersion(id, in: transaction)
            try Self.check(request, current: version)
            try await change(written, by: request.caller.label, at: now, in: transaction)
            return (try await PurposeStore.put(written, at: now, in: transaction), version == nil)
        }
        return .json(stored.json, status: created ? .created : .ok, headers: [.eTag: stored.etag])
    }

    /// A purpose is part of the policy: a change of it is a new version of that. What the policy says of it beyond what is
    /// written here stays.
    private func change(
        _ written: Purpose, by author: String, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        let before = try await ConsentPolicyStore.get(in: transaction)
        let policy = try before.map { try ConsentPolicy(json: try JSONParser.parse($0.body)) }
        var changed = policy ?? ConsentPolicy()
        changed.purposes[written.id] = changed.purposes[written.id].map(written.keeping) ?? written
        guard changed != policy else { return }
        _ = try await ConsentPolicyStore.add(
            changed, source: changed.json.compact, after: before?.version ?? 0, by: author, at: now,
            in: transaction)
    }

    /// `If-Match` and `If-None-Match: *` (RFC 9110, 13.1).
    private static func check(_ request: ServiceRequest, current: Int64?) throws(Problem) {
        if let wanted = request.ifMatch {
            guard let current, wanted.contains("*") || wanted.contains("\(current)") else {
                throw .preconditionFailed("the purpose has another version now; read it again")
            }
        }
        if let unwanted = request.ifNoneMatch, let current,
            unwanted.contains("*") || unwanted.contains("\(current)")
        {
            throw .preconditionFailed("there is such a purpose already")
        }
    }

    private static func id(_ request: ServiceRequest) throws(Problem) -> String {
        let id = try request.path("id")
        guard Purpose.isID(id) else { throw .badRequest("`id` in the path must be \(purposeIDRule)") }
        return id
    }

    static let unknown = Problem.notFound(
        "no such purpose; GET /v1/purposes lists what there is", type: "unknown-purpose")
}

extension Purpose {
    /// This one with what it doesn't say itself taken from what it replaces. Texts are those of their version.
    fileprivate func keeping(_ before: Purpose) -> Purpose {
        var kept = before
        (kept.name, kept.legalBasis) = (name, legalBasis)
        if before.textVersion != textVersion { kept.texts = [:] }
        kept.textVersion = textVersion
        if legalBasis != .consent { kept.lasts = nil }
        return kept
    }
}
