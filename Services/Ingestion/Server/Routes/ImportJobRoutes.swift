import HTTPTypes
import IngestionDomain
import Models
import Postgres
import ServiceKit

/// What is done with an import once its file is there, and what has come of it.
struct ImportJobRoutes: Sendable {
    let pool: PostgresPool
    let store: ImportStore
    let files: ImportFileStore
    let clock: ServiceClock
    let preview: ImportPreview

    func add(to router: ServiceRouter) {
        router.post("/v1/imports/{id}/preview", scope: .sourcesWrite, touches: .identifiers) {
            try await preview($0)
        }
        router.post("/v1/imports/{id}/run", scope: .sourcesWrite, touches: .changes) {
            try await act(.run, $0)
        }
        router.post("/v1/imports/{id}/pause", scope: .sourcesWrite, touches: .changes) {
            try await act(.pause, $0)
        }
        router.post("/v1/imports/{id}/resume", scope: .sourcesWrite, touches: .changes) {
            try await act(.resume, $0)
        }
        router.post("/v1/imports/{id}/cancel", scope: .sourcesWrite, touches: .changes) {
            try await act(.cancel, $0)
        }
        router.get("/v1/imports/{id}/report", scope: .sourcesRead, touches: .definitions) {
            try await report($0)
        }
        router.delete("/v1/imports/{id}", scope: .sourcesWrite, touches: .changes) { try await delete($0) }
    }

    private func act(_ action: ImportState.Action, _ request: ServiceRequest) async throws -> ServiceResponse
    {
        let id: ImportID = try request.pathID("id")
        let now = try await clock.now()
        try await pool.transaction { transaction in
            guard let stored = try await ImportStore.lock(id, in: transaction) else { throw Problem.noImport }
            guard let state = stored.state.after(action) else { throw Problem.notNow(action, stored.state) }
            guard state != stored.state else { return }
            if action == .run {
                try Self.checkWhole(stored)
                try await ImportStore.restart(stored, in: transaction)
            }
            try await ImportStore.setState(state, of: stored, at: now, in: transaction)
        }
        // The file of what is cancelled goes at once; should this process die, the pruner sees to it.
        if action == .cancel { while try await files.deletePieces(limit: 64) > 0 {} }
        guard let stored = try await store.get(id) else { throw Problem.noImport }
        return stored.answer()
    }

    /// Throws where what is to be read is not all there.
    private static func checkWhole(_ stored: StoredImport) throws(Problem) {
        guard stored.storedBytes > 0 else {
            throw .conflict(
                "there is no file yet; PUT it to /v1/imports/{id}/file", type: "import-incomplete")
        }
        if let expected = stored.expectedBytes, stored.storedBytes < expected {
            throw .conflict(
                "\(stored.storedBytes) of \(expected) bytes are stored; send the rest first",
                type: "import-incomplete")
        }
        try checkMapping(stored)
    }

    private static func checkMapping(_ stored: StoredImport) throws(Problem) {
        if stored.mapping != nil { return }
        guard stored.format == .ndjson else {
            throw .conflict(
                "a CSV file needs a mapping; PUT it to /v1/imports/{id}/mapping", type: "import-incomplete")
        }
        guard !stored.shiftToNow else {
            throw .conflict(
                "times can be moved only where a mapping says which they are", type: "import-incomplete")
        }
    }

    // MARK: Looking ahead

    private func preview(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let stored = try await store.get(try request.pathID("id")) else { throw Problem.noImport }
        guard stored.hasFile, stored.storedBytes > 0, !stored.state.isEnded else {
            throw Problem.conflict("there is no file to look at", type: "import-incomplete")
        }
        try Self.checkMapping(stored)
        do {
            return .json(try await preview.preview(stored, try stored.definition()).json)
        } catch let problem as UnreadableFile {
            throw Problem.unreadable(problem)
        } catch is ImportFile.End {
            throw Problem.conflict("there is no file to look at", type: "import-incomplete")
        } catch let mistakes as InvalidMapping {
            throw Problem.badRequest(
                mistakes.mistakes.first?.description ?? "the mapping has mistakes", type: "invalid-mapping",
                errors: mistakes.mistakes.map(\.json))
        }
    }

    // MARK: Looking back

    private func report(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...1000, default: 100)
        var after: (line: Int64, number: Int64) = (0, 0)
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 2) {
            guard let line = Int64(cursor[0]), let number = Int64(cursor[1]) else {
                throw Problem.badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            after = (line, number)
        }
        guard let stored = try await store.get(try request.pathID("id")) else { throw Problem.noImport }
        let skipped = try await store.skipped(stored.id)
        let found = try await store.problems(of: stored.id, after: after, limit: limit + 1)
        let page = found.prefix(limit)
        let next =
            found.count > limit
            ? page.last.map { Cursor.encode([String($0.problem.line), String($0.number)]) } : nil
        var members = stored.countsJSON
        members["importId"] = .string(stored.id.description)
        members["state"] = .string(stored.state.rawValue)
        members["failure"] = stored.failure.map { .string($0) } ?? .null
        members["skipped"] = .array(
            skipped.map { reason, groups, rows in
                ["reason": .string(reason), "groups": .integer(Int64(groups)), "rows": .integer(Int64(rows))]
            })
        members["items"] = .array(page.map(\.problem.json))
        members["nextCursor"] = next.map { .string($0) } ?? .null
        return .json(.object(members))
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id: ImportID = try request.pathID("id")
        try await pool.transaction { transaction in
            guard let stored = try await ImportStore.lock(id, in: transaction) else { throw Problem.noImport }
            guard stored.state.after(.delete) != nil else { throw Problem.notNow(.delete, stored.state) }
            try await ImportStore.delete(id, in: transaction)
        }
        return .empty()
    }
}

extension Problem {
    fileprivate static func unreadable(_ file: UnreadableFile) -> Problem {
        Problem(
            status: .unprocessableContent, type: "unreadable-file", title: "The file cannot be read",
            detail: file.description, extensions: ["line": .integer(Int64(file.line))])
    }
}
