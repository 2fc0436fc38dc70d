import HTTPTypes
import JourneysDomain
import Models
package import Postgres
package import Sealing
package import ServiceKit
import Streams

/// The definitions: `/v1/journeys`.
package struct JourneyRoutes: Sendable {
    private let pool: PostgresPool
    private let clock: ServiceClock
    private let catalogs: CatalogStore
    private let vault: Vault

    package init(pool: PostgresPool, clock: ServiceClock, catalogs: CatalogStore, vault: Vault) {
        self.vault = vault
        self.pool = pool
        self.clock = clock
        self.catalogs = catalogs
    }

    package func add(to router: ServiceRouter) {
        router.get("/v1/journeys", scope: .journeysRead, touches: .definitions, list)
        router.get("/v1/journeys/{id}", scope: .journeysRead, touches: .definitions, get)
        router.put("/v1/journeys/{id}", scope: .journeysWrite, touches: .changes, put)
        router.delete("/v1/journeys/{id}", scope: .journeysWrite, touches: .changes, delete)
    }

    @Sendable
    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let cursor = try Cursor.decode(try request.query("cursor"), count: 1)
        let found = try await pool.transaction {
            try await JourneyStore($0).journeys(after: cursor?[0], limit: limit + 1)
        }
        let next = found.count > limit ? Cursor.encode([found[limit - 1].id]) : nil
        return .page(found.prefix(limit).map(Self.summary), nextCursor: next)
    }

    @Sendable
    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard let journey = try await pool.transaction({ try await JourneyStore($0).journey(id) }) else {
            throw Self.unknown(id)
        }
        return Self.answer(journey)
    }

    @Sendable
    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        guard JourneyDocument.isName(id) else {
            throw Problem.badRequest("a journey's id has up to 64 lower-case letters, digits and hyphens")
        }
        try request.requireMediaType(JourneyText.mediaTypes)
        let text = JourneyText(
            mediaType: request.mediaType, bytes: try await request.body(maxBytes: JourneyText.maxBytes))
        let (node, document) = try text.read(id: id)
        let draft = JourneyStore.Draft(
            id: id, name: document.definition.name, status: document.status, format: text.format.rawValue,
            source: text.source, document: node.json)
        let now = try await clock.now()
        let (stored, created) = try await pool.transaction { transaction in
            try await CatalogStore.lockAlone(in: transaction)
            let store = JourneyStore(transaction)
            let previous = try await store.journey(id)
            try Self.check(request, against: previous)
            try await store.store(draft, over: previous, at: now)
            // Resuming sets timers.
            try await DeadlineSweeper.notify(schema: ServiceName.journeys.schema, in: transaction)
            return (try await store.journey(id), previous == nil)
        }
        guard let stored else { throw Self.unknown(id) }
        return Self.answer(stored, status: created ? .created : .ok)
    }

    @Sendable
    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            try await CatalogStore.lockAlone(in: transaction)
            let store = JourneyStore(transaction)
            guard let previous = try await store.journey(id) else { throw Self.unknown(id) }
            try Self.check(request, against: previous)
            try await endAll(in: id, at: now, transaction)
            try await store.markDeleted(id, at: now)
        }
        return .empty(.noContent)
    }

    /// Ends those who are inside. Nobody else decides meanwhile, so their rows need no further lock.
    private func endAll(in journey: String, at now: Instant, _ transaction: PostgresTransaction) async throws
    {
        let catalog = try await catalogs.catalog(in: transaction)
        let tables = ProfileTables(transaction: transaction, vault: vault)
        while true {
            var ended = try await JourneyStore(transaction).running(in: journey, limit: 1000, vault: vault)
            guard !ended.isEmpty else { return }
            var history: [HistoryEntry] = []
            for index in ended.indices {
                guard let definition = catalog.definition(of: journey, version: ended[index].version) else {
                    throw Problem.conflict(
                        "version \(ended[index].version) is still in use and cannot be read")
                }
                history +=
                    InstanceDecider(definition)
                    .end(&ended[index], reason: "deleted", at: now, cause: .deletion).history
            }
            try await tables.write(instances: ended, at: now)
            _ = try await tables.write(deadlinesOf: ended, paused: { _ in false })
            try await tables.write(history: history, at: now)
        }
    }

    // MARK: Answers

    private static func check(_ request: ServiceRequest, against stored: StoredJourney?) throws(Problem) {
        let current = stored.map { String($0.revision) }
        if let wanted = request.ifMatch {
            guard let current, wanted.contains(current) || wanted == ["*"] else {
                throw .preconditionFailed("read the journey again; its ETag is what `If-Match` must name")
            }
        }
        if let unwanted = request.ifNoneMatch, let current, unwanted.contains(current) || unwanted == ["*"] {
            throw .preconditionFailed("the journey exists already")
        }
    }

    private static func unknown(_ id: String) -> Problem { .notFound("there is no journey with this id") }

    private static func answer(_ journey: StoredJourney, status: HTTPResponse.Status = .ok) -> ServiceResponse
    {
        var members = summary(journey).object ?? [:]
        members["definition"] = journey.document
        members["source"] = .string(journey.source)
        members["format"] = .string(journey.format)
        return .json(.object(members), status: status, headers: [.eTag: "\"\(journey.revision)\""])
    }

    private static func summary(_ journey: StoredJourney) -> JSON {
        [
            "id": .string(journey.id), "name": .string(journey.name),
            "status": .string(journey.status.rawValue), "version": .integer(Int64(journey.version)),
            "createdAt": .string(journey.createdAt.rfc3339), "updatedAt": .string(journey.updatedAt.rfc3339),
        ]
    }
}
