import HTTPTypes
import Models
import Postgres
import ProfileStore
import SegmentationDomain
import ServiceKit

/// Computed traits: `/v1/computed-traits`, and what they come to for somebody.
struct ComputedTraitRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry
    let profiles: ProfileStore
    let folding: TraitFolding

    func add(to router: ServiceRouter) {
        router.get("/v1/computed-traits", scope: .segmentsRead, touches: .definitions) { try await list($0) }
        router.get("/v1/computed-traits/{id}", scope: .segmentsRead, touches: .definitions) {
            try await get($0)
        }
        router.put("/v1/computed-traits/{id}", scope: .segmentsWrite, touches: .changes) { try await put($0) }
        router.delete("/v1/computed-traits/{id}", scope: .segmentsWrite, touches: .changes) {
            try await delete($0)
        }
        router.get("/v1/profiles/{id}/computed-traits", scope: .segmentsRead, touches: .people) {
            try await values($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let cursor = try Cursor.decode(try request.query("cursor"), count: 1)
        let found = try await pool.withConnection {
            try await ComputedTraitStore($0).list(after: cursor?[0], limit: limit + 1)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map(\.json),
            nextCursor: found.count > limit ? shown.last.map { Cursor.encode([$0.id]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let trait = try await pool.withConnection({ try await ComputedTraitStore($0).get(id) }) else {
            throw Problem.noComputedTrait
        }
        return Self.answer(trait)
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard SegmentDefinition.isValid(id: id) else {
            throw Problem.badRequest(
                "a computed trait's id is 1 to 64 lower-case letters, digits and hyphens, and begins with no hyphen",
                type: ComputedTraitDocument.problemType)
        }
        try request.requireMediaType(["application/json"])
        let document = try ComputedTraitDocument(
            id: id, text: try await WrittenDefinition.text(of: request))
        let now = try await clock.now()
        let (stored, isNew) = try await pool.transaction { transaction in
            let store = ComputedTraitStore(transaction)
            try await SegmentStore(transaction).lockAlone()
            try await store.lockAlone()
            let previous = try await store.get(id)
            try request.check(edition: previous?.edition, of: "computed trait")
            if previous == nil {
                let most = ComputedTraitLimits.definitions
                guard try await store.count() < most else {
                    throw Problem.conflict(
                        "there are \(most) computed traits, which is the most; delete one first",
                        type: "too-many-computed-traits")
                }
            }
            try await store.store(
                id: id, name: document.name, description: document.description,
                definition: document.trait.json, at: now)
            if let previous, previous.definition != document.trait.json {
                try await bring(document.trait, called: id, at: now, in: transaction)
            }
            return (try await store.get(id), previous == nil)
        }
        guard let stored else { throw Problem.noComputedTrait }
        return Self.answer(stored, status: isNew ? .created : .ok)
    }

    /// The rules that look at a trait follow it.
    private func bring(
        _ trait: ComputedTrait, called id: String, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        let set = try await registry.decider(in: transaction).set
        let rules = ComputedTraitRules(transaction)
        if !trait.isComparable { try Self.checkUnused(rules.users(of: id, in: set)) }
        try await rules.bring(trait, called: id, in: set, at: now)
    }

    private static func checkUnused(_ users: [String]) throws(Problem) {
        guard users.isEmpty else {
            throw .conflict(
                "the rules of segments look at this computed trait; change or delete these first: "
                    + users.map(SegmentDefinition.words).joined(separator: ", "),
                type: "computed-trait-in-use")
        }
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            let store = ComputedTraitStore(transaction)
            try await SegmentStore(transaction).lockAlone()
            try await store.lockAlone()
            guard let previous = try await store.get(id) else { throw Problem.noComputedTrait }
            try request.check(edition: previous.edition, of: "computed trait")
            let set = try await registry.decider(in: transaction).set
            try Self.checkUnused(ComputedTraitRules(transaction).users(of: id, in: set))
            try await store.delete(id, at: now)
        }
        return .empty()
    }

    // MARK: Values

    private func values(_ request: ServiceRequest) async throws -> ServiceResponse {
        let asked = try request.pathID("id", as: ProfileID.self)
        let ids = try request.query("ids", maxBytes: 8_192).map { $0.split(separator: ",").map(String.init) }
        if let ids {
            guard (1...ComputedTraitLimits.definitions).contains(ids.count),
                ids.allSatisfy({ SegmentDefinition.isValid(id: $0) })
            else {
                throw Problem.badRequest(
                    "`ids` must be 1 to \(ComputedTraitLimits.definitions) ids of computed traits with commas between them"
                )
            }
        }
        let now = try await clock.now()
        return try await folding.folded {
            try await pool.transaction(isolation: .repeatableRead) { transaction in
                guard let person = try await profiles.person(asked, in: transaction) else {
                    throw Problem.noProfile
                }
                let traits = try await ComputedTraitReading(transaction, vault: registry.vault)
                    .traits(ids, of: person.profileID, at: now)
                return .json([
                    "profileId": .string(person.profileID.description), "at": .string(now.rfc3339),
                    "computedTraits": .array(traits),
                ])
            }
        }
    }

    private static func answer(
        _ trait: StoredComputedTrait, status: HTTPResponse.Status = .ok
    ) -> ServiceResponse {
        .json(trait.json, status: status, headers: [.eTag: "\"\(trait.edition)\""])
    }
}

/// A computed trait as a caller writes it: how it is worked out, with a name and a description beside that.
struct ComputedTraitDocument {
    static let problemType = "invalid-computed-trait"

    var name: String
    var description: String
    var trait: ComputedTrait

    /// Reads a document; a mistake is a 400 that names its path, line and column, and what was expected there.
    init(id: String, text: [UInt8]) throws(Problem) {
        let field = RuleField(try WrittenDefinition.json(text))
        do {
            try field.allow(["name", "description"] + ComputedTrait.keys)
            name = try WrittenDefinition.name(in: field, id: id)
            description = try WrittenDefinition.description(in: field)
            trait = try ComputedTrait(field)
        } catch { throw WrittenDefinition.problem([error], in: text, type: Self.problemType) }
    }
}

extension Problem {
    static var noComputedTrait: Problem {
        .notFound("there is no computed trait with this id", type: "unknown-computed-trait")
    }
}

extension StoredComputedTrait {
    /// The computed trait as callers see it; `text` is how it is worked out, in words.
    var json: JSON {
        let read = try? ComputedTrait(RuleField(definition))
        var members = definition.object ?? [:]
        members.merge([
            "id": .string(id), "name": .string(name), "description": .string(description),
            "version": .integer(Int64(version)), "text": .string(read?.text ?? ""),
            "createdAt": .string(createdAt.rfc3339), "updatedAt": .string(updatedAt.rfc3339),
        ]) { $1 }
        return .object(members)
    }
}
