import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// The definitions of scores: `/v1/scores`.
struct ScoreRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry

    func add(to router: ServiceRouter) {
        router.get("/v1/scores", scope: .segmentsRead, touches: .definitions) { try await list($0) }
        router.get("/v1/scores/{id}", scope: .segmentsRead, touches: .definitions) { try await get($0) }
        router.put("/v1/scores/{id}", scope: .segmentsWrite, touches: .changes) { try await put($0) }
        router.delete("/v1/scores/{id}", scope: .segmentsWrite, touches: .changes) { try await delete($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let cursor = try Cursor.decode(try request.query("cursor"), count: 1)
        let found = try await pool.withConnection {
            try await ScoreStore($0).scores(after: cursor?[0], limit: limit + 1)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map(\.json),
            nextCursor: found.count > limit ? shown.last.map { Cursor.encode([$0.id]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let score = try await pool.withConnection({ try await ScoreStore($0).score(id) }) else {
            throw Problem.noScore
        }
        return Self.answer(score)
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard SegmentDefinition.isValid(id: id) else {
            throw Problem.badRequest(
                "a score's id is 1 to 64 lower-case letters, digits and hyphens, and begins with no hyphen",
                type: "invalid-score")
        }
        try request.requireMediaType(["application/json"])
        let document = try ScoreDocument(
            id: id, text: try await WrittenDefinition.text(of: request))
        let now = try await clock.now()
        let (stored, isNew) = try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = ScoreStore(transaction)
            let previous = try await store.score(id)
            try request.check(edition: previous?.edition, of: "score")
            let set = try await registry.decider(in: transaction).set
            try await store.store(
                id: id, name: document.name, description: document.description,
                scoring: document.scoring.json,
                companions: set.companions(of: [SegmentDefinition.key(ofScore: id)]), at: now)
            return (try await store.score(id), previous == nil)
        }
        guard let stored else { throw Problem.noScore }
        return Self.answer(stored, status: isNew ? .created : .ok)
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = ScoreStore(transaction)
            guard let previous = try await store.score(id) else { throw Problem.noScore }
            try request.check(edition: previous.edition, of: "score")
            let set = try await registry.decider(in: transaction).set
            let users = Set(
                [set.inForce, set.upcoming].flatMap {
                    SegmentReferences.users(of: .score(id), among: $0)
                }
            ).sorted()
            guard users.isEmpty else {
                throw Problem.conflict(
                    "rules look at this score; change or delete these first: "
                        + users.map(SegmentDefinition.words).joined(separator: ", "), type: "score-in-use")
            }
            try await store.delete(id, at: now)
        }
        return .empty()
    }

    private static func answer(_ score: StoredScore, status: HTTPResponse.Status = .ok) -> ServiceResponse {
        .json(score.json, status: status, headers: [.eTag: "\"\(score.edition)\""])
    }
}

/// A score as a caller writes it: how it is made up, with a name and a description beside that.
struct ScoreDocument {
    var name: String
    var description: String
    var scoring: Scoring

    /// Reads a document; a mistake is a 400 that names its path, line and column, and what was expected there.
    init(id: String, text: [UInt8]) throws(Problem) {
        let field = RuleField(try WrittenDefinition.json(text))
        do {
            try field.allow(["name", "description"] + Scoring.keys)
            name = try WrittenDefinition.name(in: field, id: id)
            description = try WrittenDefinition.description(in: field)
            scoring = try Scoring(field)
        } catch { throw WrittenDefinition.problem([error], in: text, type: "invalid-score") }
    }
}

extension Problem {
    static var noScore: Problem { .notFound("there is no score with this id", type: "unknown-score") }
}

extension StoredScore {
    /// The score as callers see it; `text` is how it is made up, in words.
    var json: JSON {
        let read = try? Scoring(RuleField(scoring))
        let upcoming = next.flatMap { try? Scoring(RuleField($0.scoring)) }
        let coming = next.map { next -> JSON in
            var members = next.scoring.object ?? [:]
            members["version"] = .integer(Int64(next.version))
            members["text"] = .string(upcoming?.text ?? "")
            return .object(members)
        }
        var members = scoring.object ?? [:]
        members.merge([
            "id": .string(id), "name": .string(name), "description": .string(description),
            "version": .integer(Int64(version)),
            "text": .string(read?.text ?? ""), "next": coming ?? .null,
            // Of what was written last: whoever writes it is told.
            "notices": .array(((next == nil ? read : upcoming)?.notices() ?? []).map(\.json)),
            "status": isSettled ? "live" : "backfilling", "createdAt": .string(createdAt.rfc3339),
            "updatedAt": .string(updatedAt.rfc3339),
        ]) { $1 }
        return .object(members)
    }
}
