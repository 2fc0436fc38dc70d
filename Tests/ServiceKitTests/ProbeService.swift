import Foundation
import HTTPTypes
import Models
import Postgres
import ServiceKit
import Streams

/// A small service that shows what ServiceKit gives every service.
enum ProbeService {
    static let definition = ServiceDefinition(
        name: .identity,
        migrations: [
            Migration(
                version: 1, name: "V0001_probe",
                sql: """
                    CREATE TABLE profiles.timeline (
                        shard smallint NOT NULL, "offset" bigint NOT NULL, key text NOT NULL,
                        recorded_at timestamptz NOT NULL, traceparent text, body text NOT NULL,
                        profile_id uuid,
                        PRIMARY KEY (shard, "offset"));
                    GRANT ALL ON profiles.timeline TO martlet_identity;
                    CREATE TABLE thing (id text PRIMARY KEY, value bigint NOT NULL);
                    """)
        ],
        openAPI: Array("openapi: 3.1.0\n".utf8), published: [.profileEvents]
    ) { context in
        let pool = context.pool
        return ServiceParts(routes: { router in
            router.get("/v1/people/{id}", scope: .profilesRead, touches: .people) { request in
                guard let id = ProfileID(try request.path("id")) else { throw Problem.notFound("nobody") }
                return .json(["profileId": .string(id.description)])
            }
            router.put("/v1/things/{id}", scope: .segmentsWrite, touches: .changes) { request in
                let value = try await request.json()["value"]?.integer ?? 0
                let id = try request.path("id")
                let write: SQL = """
                    INSERT INTO thing (id, value) VALUES (\(id), \(value))
                    ON CONFLICT (id) DO UPDATE SET value = excluded.value
                    """
                if value == 0 {
                    return .json(["count": .integer(Int64(try await pool.query("SELECT 1").count))])
                }
                switch try request.query("how") {
                case "statement": try await pool.execute(write)
                case "connection": _ = try await pool.withConnection { try await $0.execute(write) }
                default:
                    try await pool.transaction { transaction in
                        try await transaction.execute(write)
                        if value < 0 { throw Problem.conflict("not that") }
                    }
                }
                return .json(["value": .integer(value)])
            }
            router.get("/v1/open", access: .open) { _ in .json(["ok": true]) }
            router.get("/v1/items/{id}", scope: .profilesRead, touches: .definitions) { request in
                .json(["id": .string(try request.path("id"))])
            }
            router.post("/v1/items", scope: .profilesWrite, touches: .people) { request in
                .json(try await request.json(maxBytes: 1_000), status: .created)
            }
            router.get("/v1/list", scope: .profilesRead, touches: .people) { request in
                let limit = try request.query("limit", in: 1...10, default: 5)
                let cursor = try Cursor.decode(try request.query("cursor"), count: 1)
                return .page([.integer(Int64(limit))], nextCursor: Cursor.encode([cursor?.first ?? "a"]))
            }
            router.get("/v1/broken", access: .open) { _ in
                throw SecretBearingError(text: "secret@example.com")
            }
            router.get("/v1/away", access: .open) { _ in throw PostgresError.connectionLost("gone") }
            router.get("/v1/services-only", access: .service) { _ in .empty() }
            router.post("/v1/direct", access: .open) { request in
                .json(["usual": .string(String(decoding: try await request.body(), as: UTF8.self))])
            }
            let repeated = RepeatedAnswer(headers: [.contentType: "application/json"])
            router.direct("/v1/direct") { request, respond in
                let text = String(decoding: request.body, as: UTF8.self)
                let answer = ServiceResponse.json(["direct": .string(text)])
                switch text {
                case "decline": return false
                case "later": Task { respond { .response(answer) } }
                case "broken": respond { throw SecretBearingError(text: "secret@example.com") }
                case "refused": respond { throw Problem.badRequest("not this") }
                default: respond { .repeated(repeated, body: answer.body) }
                }
                return true
            }
            router.get("/v1/gone", access: .provenToHandler) { _ in
                throw Problem(status: .gone, type: "gone", title: "It was erased")
            }
            // Counts for as long as anybody reads.
            for method in [HTTPRequest.Method.get, .head] {
                router.on(method, "/v1/count", .open) { request in
                    let pause = try request.query("pause", in: 1...60_000, default: 1)
                    let longest = try request.query("longest", in: 1...30, default: 30)
                    return .events(longest: .seconds(longest)) { writer in
                        for number in 0... {
                            try await writer.write(
                                ServerSentEvent(id: "\(number)", event: "count", data: "a\nb").bytes)
                            try await Task.sleep(for: .milliseconds(pause))
                        }
                    }
                }
            }
            router.post("/v1/call", access: .open) { request in
                let path = try request.query("path") ?? "/v1/batch"
                try await context.pool.transaction { transaction in
                    try await context.outbox.enqueue(
                        target: .ingestion, path: path, body: ["n": 1], in: transaction,
                        at: try await context.clock.now())
                }
                return .empty(.accepted)
            }
        })
    }

    struct SecretBearingError: Error {
        let text: String
    }
}
