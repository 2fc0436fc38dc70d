import Foundation
import Models

/// Imports of an installation, over its API. Waits while ingestion is away.
struct ImportClient: Sendable {
    let api: APIClient
    /// The base URL of ingestion.
    let url: String
    let apiKey: String
    let waiting: @Sendable (String) -> Void

    /// Bytes of the file in one request.
    static let pieceBytes = 1 << 20

    /// The source of this name or id.
    func source(_ name: String) async throws -> String {
        var cursor: String?
        var found: [String] = []
        repeat {
            let query = cursor.map { "&cursor=\($0)" } ?? ""
            let page = try await expect(200, send("GET", "/v1/sources?limit=1000\(query)"))
            for source in page["items"]?.array ?? [] {
                guard let id = source["sourceId"]?.string else { continue }
                if id == name.lowercased() { return id }
                if source["name"]?.string == name { found.append(id) }
            }
            cursor = page["nextCursor"]?.string
        } while cursor != nil
        guard let only = found.first else {
            throw CommandProblem(
                "there is no source \"\(name)\"; make it with POST /v1/sources, or give --source")
        }
        guard found.count == 1 else {
            throw CommandProblem(
                "\(found.count) sources are called \"\(name)\"; give the id of one: \(found.joined(separator: ", "))"
            )
        }
        return only
    }

    /// Makes an import; with the same `key` again it is the same import.
    func create(_ definition: JSON, key: String) async throws -> String {
        let made = try await expect(
            201,
            send(
                "POST", "/v1/imports", body: Array(definition.compact.utf8), headers: ["Idempotency-Key": key]
            ))
        guard let id = made["importId"]?.string else {
            throw CommandProblem("ingestion's answer holds no import: \(made.compact)")
        }
        return id
    }

    /// The import as it is now; nil where there is none.
    func get(_ id: String) async throws -> JSON? {
        let answer = try await send("GET", "/v1/imports/\(id)")
        return answer.status == 404 ? nil : try expect(200, answer)
    }

    func act(_ action: String, on id: String) async throws -> JSON {
        try await expect(200, send("POST", "/v1/imports/\(id)/\(action)"))
    }

    func delete(_ id: String) async throws {
        let answer = try await send("DELETE", "/v1/imports/\(id)")
        guard answer.status == 204 || answer.status == 404 else { throw problem(answer) }
    }

    func report(_ id: String) async throws -> ImportReport {
        let json = try await expect(
            200, send("GET", "/v1/imports/\(id)/report?limit=\(ImportReport.listed)"))
        guard let report = ImportReport(json) else {
            throw CommandProblem("ingestion's answer is no report: \(json.compact.prefix(300))")
        }
        return report
    }

    /// Sends the rest of a file, as far as `limit`, wherever an earlier attempt ended.
    func upload(
        _ path: String, to id: String, from start: Int64, limit: Int64 = .max,
        progress: (Int64) async -> Void
    ) async throws {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw CommandProblem("cannot read \(path)")
        }
        defer { try? handle.close() }
        var offset = start
        while offset < limit {
            try handle.seek(toOffset: UInt64(offset))
            guard let data = try handle.read(upToCount: Int(min(Int64(Self.pieceBytes), limit - offset))),
                !data.isEmpty
            else { return }
            let answer = try await send(
                "PUT", "/v1/imports/\(id)/file?offset=\(offset)", body: Array(data),
                contentType: "application/octet-stream")
            // What an unanswered request has stored is not sent again.
            if answer.status == 409, let stored = answer.json?["offset"]?.integer, stored != offset {
                offset = stored
            } else {
                offset = try expect(200, answer)["storedBytes"]?.integer ?? offset
            }
            await progress(offset)
        }
    }

    // MARK: Requests

    private func send(
        _ method: String, _ path: String, body: [UInt8]? = nil, contentType: String = "application/json",
        headers: [String: String] = [:]
    ) async throws -> APIClient.Answer {
        try await api.sendUntilAnswered(
            method, url + path, as: .bearer(apiKey), body: body, contentType: contentType, headers: headers,
            waiting: waiting)
    }

    private func expect(_ status: Int, _ answer: APIClient.Answer) throws -> JSON {
        guard answer.status == status, let json = answer.json else { throw problem(answer) }
        return json
    }

    private func problem(_ answer: APIClient.Answer) -> CommandProblem {
        switch answer.status {
        case 401, 403: CommandProblem("ingestion does not take the API key: \(answer.problem)")
        case 404 where answer.json?["type"] == nil, 405:
            CommandProblem("\(url) is not ingestion: \(answer.problem)")
        default: CommandProblem("ingestion refused: \(answer.problem)")
        }
    }
}
