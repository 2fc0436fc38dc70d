import HTTPTypes
import Models
import ServiceKit

/// Sources and their write keys.
struct SourceRoutes: Sendable {
    let store: SourceStore
    let clock: ServiceClock
    private static let nameBytes = 200

    init(store: SourceStore, clock: ServiceClock) {
        self.store = store
        self.clock = clock
    }

    func add(to router: ServiceRouter) {
        router.get("/v1/sources", scope: .sourcesRead, touches: .definitions) { try await list($0) }
        router.post("/v1/sources", scope: .sourcesWrite, touches: .changes) { try await create($0) }
        router.get("/v1/sources/{id}", scope: .sourcesRead, touches: .definitions) { try await get($0) }
        router.post("/v1/sources/{id}/write-keys", scope: .sourcesWrite, touches: .changes) {
            try await addKey($0)
        }
        router.delete("/v1/sources/{id}/write-keys/{key}", scope: .sourcesWrite, touches: .changes) {
            try await revokeKey($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        var after: SourceID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = SourceID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = id
        }
        let found = try await store.list(after: after, limit: limit + 1)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil
        return .page(page.map(\.json), nextCursor: next)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json())
        let name = try fields.string("name")
        guard !name.isEmpty, name.utf8.count <= Self.nameBytes else {
            throw fields.problem("name", expected: "a string of 1 to \(Self.nameBytes) bytes")
        }
        let now = try await clock.now()
        let id = try await store.create(name: name, at: now)
        return .json(
            StoredSource(id: id, name: name, createdAt: now, keys: []).json, status: .created,
            headers: [.location: "/v1/sources/\(id)"])
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let source = try await store.get(try request.pathID("id")) else { throw Problem.noSource }
        return .json(source.json)
    }

    private func addKey(_ request: ServiceRequest) async throws -> ServiceResponse {
        let source: SourceID = try request.pathID("id")
        let key = WriteKey.make()
        let now = try await clock.now()
        guard let id = try await store.addKey(key, to: source, at: now) else { throw Problem.noSource }
        return .json(
            [
                "writeKeyId": .string(id.description), "writeKey": .string(key.text),
                "hint": .string(key.hint),
                "createdAt": .string(now.rfc3339),
            ], status: .created)
    }

    private func revokeKey(_ request: ServiceRequest) async throws -> ServiceResponse {
        let (source, key): (SourceID, WriteKeyID) = (try request.pathID("id"), try request.pathID("key"))
        guard try await store.revokeKey(key, of: source, at: try await clock.now()) else {
            throw Problem.notFound("the source has no such write key; GET /v1/sources/{id} lists them")
        }
        return .empty()
    }
}

extension Problem {
    static let noSource = Problem.notFound("there is no such source; GET /v1/sources lists them")
}

extension StoredSource {
    fileprivate var json: JSON {
        [
            "sourceId": .string(id.description), "name": .string(name),
            "createdAt": .string(createdAt.rfc3339),
            "writeKeys": .array(
                keys.map { key in
                    [
                        "writeKeyId": .string(key.id.description), "hint": .string(key.hint),
                        "createdAt": .string(key.createdAt.rfc3339),
                        "revokedAt": key.revokedAt.map { .string($0.rfc3339) } ?? .null,
                    ]
                }),
        ]
    }
}
