import Crypto
import Foundation
import HTTPTypes
import IngestionDomain
import Models
import Postgres
import ServiceKit

/// `/v1/imports`: files that are taken in, as far as their makers put them together.
struct ImportRoutes: Sendable {
    let pool: PostgresPool
    let store: ImportStore
    let files: ImportFileStore
    let clock: ServiceClock
    let settings: ImportSettings

    private static let nameBytes = 200
    /// What a file may say that it is. What it is, is seen from its bytes.
    private static let fileTypes = [
        "application/octet-stream", "text/csv", "application/x-ndjson", "application/gzip",
    ]

    func add(to router: ServiceRouter) {
        router.get("/v1/imports", scope: .sourcesRead, touches: .definitions) { try await list($0) }
        router.post("/v1/imports", scope: .sourcesWrite, touches: .changes) { try await create($0) }
        router.get("/v1/imports/{id}", scope: .sourcesRead, touches: .definitions) { try await get($0) }
        router.put("/v1/imports/{id}/file", scope: .sourcesWrite, touches: .changes) { try await upload($0) }
        router.put("/v1/imports/{id}/mapping", scope: .sourcesWrite, touches: .changes) { try await map($0) }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        var state: ImportState?
        if let text = try request.query("state") {
            state = ImportState(rawValue: text)
            if state == nil {
                let known = ImportState.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.badRequest("`state` must be one of: \(known)")
            }
        }
        var after: ImportID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = ImportID(cursor[0]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = id
        }
        let found = try await store.list(
            source: try request.queryID("source"), state: state, after: after, limit: limit + 1)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { Cursor.encode([$0.id.description]) } : nil
        return .page(page.map(\.json), nextCursor: next)
    }

    private func create(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json()
        let fields = try JSONFields(body)
        try fields.allow([
            "name", "sourceId", "format", "mapping", "mappingYAML", "shiftToNow", "expectedBytes",
        ])
        let name = try fields.string("name")
        guard !name.isEmpty, name.utf8.count <= Self.nameBytes else {
            throw fields.problem("name", expected: "a string of 1 to \(Self.nameBytes) bytes")
        }
        let expected = try fields.optionalInteger("expectedBytes")
        if let expected, !(1...settings.fileBytes).contains(expected) {
            throw fields.problem("expectedBytes", expected: "a whole number from 1 to \(settings.fileBytes)")
        }
        let now = try await clock.now()
        let new = StoredImport(
            id: ImportID(UUIDv7.make(at: now)), sourceID: try fields.id("sourceId"), name: name,
            format: try fields.choice("format"), mapping: try MappingText.ofImport.read(fields),
            expectedBytes: expected,
            shiftToNow: fields["shiftToNow"] == nil ? false : try fields.bool("shiftToNow"),
            createdAt: now, touchedAt: now, idempotencyKey: try Self.idempotencyKey(request))
        let digest = Data(SHA256.hash(data: Data(body.compact.utf8)))
        guard let (stored, made) = try await store.create(new, digest: digest) else { throw Problem.noSource }
        guard made == digest else { throw Problem.idempotencyKeyReused }
        return stored.answer(status: .created, headers: [.location: "/v1/imports/\(stored.id)"])
    }

    /// The key with its caller: two callers may choose the same.
    private static func idempotencyKey(_ request: ServiceRequest) throws(Problem) -> String? {
        guard let key = try Idempotency.key(of: request) else { return nil }
        switch request.caller {
        case .apiKey(let id, _): return "\(id) \(key)"
        case .service(let name): return "\(name.rawValue) \(key)"
        case .anonymous: return key
        }
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let stored = try await store.get(try request.pathID("id")) else { throw Problem.noImport }
        return stored.answer()
    }

    // MARK: The file

    private func upload(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: ImportID = try request.pathID("id")
        let offset = Int64(try request.query("offset", in: 0...Int(Int64.max), default: 0))
        try request.requireMediaType(Self.fileTypes)
        if let coding = request.header(.contentEncoding), coding.lowercased() != "identity" {
            throw Problem.unsupportedMediaType(
                "the bytes of the file as they are; a packed file is unpacked here")
        }
        let bytes = try await request.body(maxBytes: settings.chunkBytes)
        guard !bytes.isEmpty else {
            throw Problem.badRequest("the body must be the next bytes of the file, at least one")
        }
        let now = try await clock.now()
        let stored = try await pool.transaction { transaction in
            guard let stored = try await ImportStore.lock(id, in: transaction) else { throw Problem.noImport }
            guard stored.state.after(.upload) != nil else { throw Problem.notNow(.upload, stored.state) }
            guard offset == stored.storedBytes else { throw Problem.wrongOffset(stored.storedBytes) }
            let limit = stored.expectedBytes ?? settings.fileBytes
            guard offset + Int64(bytes.count) <= limit else { throw Problem.fileTooLarge(limit: limit) }
            try await files.append(bytes, to: stored, at: now, in: transaction)
            return stored
        }
        return .json([
            "importId": .string(id.description),
            "storedBytes": .integer(stored.storedBytes + Int64(bytes.count)),
        ])
    }

    // MARK: The mapping

    private func map(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: ImportID = try request.pathID("id")
        let mapping = try await Self.mapping(request)
        let now = try await clock.now()
        let stored = try await pool.transaction { transaction in
            guard var stored = try await ImportStore.lock(id, in: transaction) else { throw Problem.noImport }
            guard let state = stored.state.after(.map) else { throw Problem.notNow(.map, stored.state) }
            if let wanted = request.ifMatch, !wanted.contains("*"), !wanted.contains(String(stored.version)) {
                throw Problem.preconditionFailed("read the import again; `If-Match` must name its ETag")
            }
            try await ImportStore.setMapping(mapping, of: stored, at: now, in: transaction)
            stored.version += 1
            stored.mapping = mapping
            stored.state = state
            stored.failure = nil
            stored.touchedAt = now
            return stored
        }
        return stored.answer()
    }

    private static func mapping(_ request: ServiceRequest) async throws -> JSON {
        if request.mediaType == "application/json" {
            return try MappingText.ofImport.read(
                json: try await request.json(maxBytes: MappingText.textBytes))
        }
        try request.requireMediaType(["application/yaml", "application/json"])
        return try MappingText.ofImport.read(yaml: try await request.body(maxBytes: MappingText.textBytes))
    }
}

extension Problem {
    static let noImport = Problem.notFound(
        "there is no such import; GET /v1/imports lists them", type: "unknown-import")

    static func notNow(_ action: ImportState.Action, _ state: ImportState) -> Problem {
        .conflict(
            "`\(action.rawValue)` is not possible while the import is \(state.rawValue)", type: "import-state"
        )
    }

    fileprivate static func wrongOffset(_ offset: Int64) -> Problem {
        var problem = conflict(
            "\(offset) bytes are stored; go on from there", type: "wrong-offset")
        problem.extensions["offset"] = .integer(offset)
        return problem
    }

    fileprivate static func fileTooLarge(limit: Int64) -> Problem {
        Problem(
            status: .contentTooLarge, type: "file-too-large", title: "The file is too large",
            detail: "the file may have at most \(limit) bytes; import it in parts")
    }
}
