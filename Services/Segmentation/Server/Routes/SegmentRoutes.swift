import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// The definitions: `/v1/segments`.
struct SegmentRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry
    let policies: ConsentPolicies

    func add(to router: ServiceRouter) {
        router.get("/v1/segments", scope: .segmentsRead, touches: .definitions) { try await list($0) }
        router.get("/v1/segments/{id}", scope: .segmentsRead, touches: .definitions) { try await get($0) }
        router.put("/v1/segments/{id}", scope: .segmentsWrite, touches: .changes) { try await put($0) }
        router.delete("/v1/segments/{id}", scope: .segmentsWrite, touches: .changes) { try await delete($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let cursor = try Cursor.decode(try request.query("cursor"), count: 1)
        let found = try await pool.withConnection {
            try await SegmentStore($0).segments(after: cursor?[0], limit: limit + 1)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map(\.json),
            nextCursor: found.count > limit ? shown.last.map { Cursor.encode([$0.id]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let segment = try await pool.withConnection({ try await SegmentStore($0).segment(id) }) else {
            throw Problem.noSegment
        }
        return Self.answer(segment)
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard SegmentDefinition.isValid(id: id) else {
            throw Problem.badRequest(
                "a segment's id is 1 to 64 lower-case letters, digits and hyphens, and begins with no hyphen",
                type: "invalid-segment")
        }
        try request.requireMediaType(["application/json"])
        let text = try await WrittenDefinition.text(of: request)
        let document = try SegmentDocument(id: id, text: text)
        let now = try await clock.now()
        let (stored, isNew) = try await pool.transaction { transaction in
            let store = SegmentStore(transaction)
            try await store.lockAlone()
            let previous = try await store.segment(id)
            try Self.check(request, against: previous)
            let condition = try await document.completed(from: text, for: request, in: transaction)
            let set = try await registry.decider(in: transaction).set
            // It stands beside the others as they will be when it is in force; a new one is so at once.
            for others in [set.upcoming] + (previous == nil ? [set.inForce] : []) {
                let problems = SegmentReferences.problems(
                    of: condition, as: id, among: others, at: RulePath(["rule"]))
                guard problems.isEmpty else { throw SegmentDocument.problem(problems, in: text) }
            }
            let rule = try await PolicyRules(transaction).written(condition, as: id, by: policies)
            try await store.store(
                id: id, name: document.name, description: document.description, rule: rule.json,
                companions: set.companions(of: [id]), at: now)
            return (try await store.segment(id), previous == nil)
        }
        guard let stored else { throw Problem.noSegment }
        return Self.answer(stored, status: isNew ? .created : .ok)
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            let store = SegmentStore(transaction)
            try await store.lockAlone()
            guard let previous = try await store.segment(id) else { throw Problem.noSegment }
            try Self.check(request, against: previous)
            let set = try await registry.decider(in: transaction).set
            let users = Set(
                [set.inForce, set.upcoming].flatMap { SegmentReferences.users(of: id, among: $0) }
            )
            .sorted()
            guard users.isEmpty else {
                throw Problem.conflict(
                    "the rules of others look at this one; change or delete these first: "
                        + users.map(SegmentDefinition.words).joined(separator: ", "), type: "segment-in-use")
            }
            try await store.delete(id, at: now)
        }
        return .empty()
    }

    private static func check(_ request: ServiceRequest, against stored: StoredSegment?) throws(Problem) {
        let current = stored.map { String($0.edition) }
        if let wanted = request.ifMatch {
            guard let current, wanted.contains(current) || wanted.contains("*") else {
                throw .preconditionFailed("read the segment again; `If-Match` must name its ETag")
            }
        }
        if let unwanted = request.ifNoneMatch, let current {
            guard !unwanted.contains(current), !unwanted.contains("*") else {
                throw .preconditionFailed("the segment exists already")
            }
        }
    }

    private static func answer(_ segment: StoredSegment, status: HTTPResponse.Status = .ok) -> ServiceResponse
    {
        .json(segment.json, status: status, headers: [.eTag: "\"\(segment.edition)\""])
    }
}

extension Problem {
    static var noSegment: Problem { .notFound("there is no segment with this id", type: "unknown-segment") }
}

extension StoredSegment {
    /// The segment as callers see it; `text` is the rule in words.
    var json: JSON {
        let inForce = try? RuleReader.read(stored: rule)
        let upcoming = next.flatMap { try? RuleReader.read(stored: $0.rule) }
        return [
            "id": .string(id), "name": .string(name), "description": .string(description),
            "version": .integer(Int64(version)), "rule": inForce?.asWritten.json ?? rule,
            "text": .string(inForce?.asWritten.text ?? ""), "requires": Self.requires(inForce),
            "next": next.map {
                [
                    "version": .integer(Int64($0.version)), "rule": upcoming?.asWritten.json ?? $0.rule,
                    "text": .string(upcoming?.asWritten.text ?? ""), "requires": Self.requires(upcoming),
                ]
            } ?? .null,
            // Of the rule that was written last: whoever writes it is told.
            "notices": WrittenDefinition.notices((next == nil ? inForce : upcoming)?.asWritten),
            "status": isSettled ? "live" : "backfilling", "createdAt": .string(createdAt.rfc3339),
            "updatedAt": .string(updatedAt.rfc3339),
        ]
    }

    /// The purposes that the consent policy asks for it.
    static func requires(_ rule: Condition?) -> JSON {
        .array((rule?.needs ?? []).map { .string($0.purpose) })
    }
}
