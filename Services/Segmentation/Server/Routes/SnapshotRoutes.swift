import Foundation
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// Who was in a segment at one moment: `/v1/snapshots`.
struct SnapshotRoutes {
    let pool: PostgresPool
    let idempotency: Idempotency

    private static let noteLength = 500

    func add(to router: ServiceRouter) {
        router.post("/v1/segments/{id}/snapshot", scope: .segmentsWrite, touches: .changes) {
            try await make($0)
        }
        router.get("/v1/segments/{id}/snapshots", scope: .segmentsRead, touches: .definitions) {
            try await list($0)
        }
        router.get("/v1/snapshots/{id}", scope: .segmentsRead, touches: .definitions) { try await get($0) }
        router.get("/v1/snapshots/{id}/members", scope: .segmentsRead, touches: .people) {
            try await members($0)
        }
        router.delete("/v1/snapshots/{id}", scope: .segmentsWrite, touches: .changes) { try await delete($0) }
    }

    private func make(_ request: ServiceRequest) async throws -> ServiceResponse {
        let segment = try request.path("id")
        let text = try await request.body(maxBytes: 8 << 10)
        let note = try note(in: text, of: request)
        var answer = try await idempotency.run(request, content: text) { now, transaction in
            let made = try await SnapshotStore.make(
                SnapshotID(UUIDv7.make(at: now)), of: segment, note: note, at: now, in: transaction)
            guard let made else { throw Problem.noSegment }
            return Idempotency.Outcome(status: .created, body: made.json)
        }
        if let id = try JSONParser.parse(answer.body)["id"]?.string {
            answer.headers[.location] = "/v1/snapshots/\(id)"
        }
        return answer
    }

    /// The body may be left out.
    private func note(in text: [UInt8], of request: ServiceRequest) throws -> String {
        if text.isEmpty { return "" }
        try request.requireMediaType(["application/json"])
        let fields = try JSONFields(try JSONParser.parse(text))
        try fields.allow(["note"])
        let note = try fields.optionalString("note") ?? ""
        guard note.count <= Self.noteLength else {
            throw fields.problem("note", expected: "text of up to \(Self.noteLength) characters")
        }
        return note
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let segment = try request.path("id")
        let limit = try request.query("limit", in: 1...200, default: 50)
        let place = try Cursor.decode(try request.query("cursor"), count: 2).map {
            parts throws(Problem) -> (Instant, SnapshotID) in
            guard let at = Instant(rfc3339: parts[0]), let id = SnapshotID(parts[1]) else {
                throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
            }
            return (at, id)
        }
        let found = try await pool.withConnection {
            try await SnapshotStore.list(of: segment, after: place, limit: limit + 1, in: $0)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map(\.json),
            nextCursor: found.count > limit
                ? shown.last.map { Cursor.encode([$0.madeAt.rfc3339, $0.id.description]) } : nil)
    }

    private func get(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: SnapshotID.self)
        guard let snapshot = try await SnapshotStore.get(id, in: pool) else { throw Problem.noSnapshot }
        return .json(snapshot.json)
    }

    private func members(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: SnapshotID.self)
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let after = try MemberRoutes.position(try request.query("cursor"))
        let found = try await pool.withConnection { connection in
            guard try await SnapshotStore.get(id, in: connection) != nil else { throw Problem.noSnapshot }
            return try await SnapshotStore.members(of: id, after: after, limit: limit + 1, in: connection)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map {
                ["profileId": .string($0.profileID.description), "enteredAt": .string($0.enteredAt.rfc3339)]
            },
            nextCursor: found.count > limit
                ? shown.last.map { Cursor.encode([$0.profileID.description]) } : nil)
    }

    private func delete(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: SnapshotID.self)
        let isGone = try await pool.transaction { try await SnapshotStore.delete(id, in: $0) }
        guard isGone else { throw Problem.noSnapshot }
        return .empty()
    }
}

extension Snapshot {
    fileprivate var json: JSON {
        [
            "id": .string(id.description), "segment": .string(segment), "version": .integer(Int64(version)),
            "note": .string(note), "members": .integer(Int64(members)), "madeAt": .string(madeAt.rfc3339),
        ]
    }
}

extension Problem {
    fileprivate static var noSnapshot: Problem {
        .notFound("there is no snapshot with this id", type: "unknown-snapshot")
    }
}
