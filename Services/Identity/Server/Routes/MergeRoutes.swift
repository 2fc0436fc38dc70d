import FoundationEssentials
import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Merges: looking at them, making one by hand, taking one back, and allowing it again.
struct MergeRoutes {
    let merging: Merging
    let pool: PostgresPool
    let idempotency: Idempotency
    let notes: MergeNotes
    let clock: ServiceClock
    private static let longestNote = 1000

    func add(to router: ServiceRouter) {
        router.get("/v1/merges", scope: .profilesRead, touches: .people) { try await list($0) }
        router.get("/v1/merges/{id}", scope: .profilesRead, touches: .people) { request in
            guard let merge = try await MergeStore.find(try request.pathID("id"), in: pool) else {
                throw Problem.noMerge
            }
            return .json(try await notes.opened(merge).json)
        }
        router.post("/v1/merges", scope: .profilesWrite, touches: .people) { try await make($0) }
        router.post("/v1/merges/{id}/undo", scope: .profilesWrite, touches: .people) { request in
            let id = try request.pathID("id", as: MergeID.self)
            return try await change(request, of: id) { step, transaction in
                try await merging.undo(id, step, traceparent: request.traceparent, in: transaction)
            }
        }
        router.post("/v1/merges/{id}/allow", scope: .profilesWrite, touches: .people) { request in
            let id = try request.pathID("id", as: MergeID.self)
            return try await change(request, of: id) { step, transaction in
                try await merging.allow(id, step, in: transaction)
            }
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        var status: MergeStore.Status?
        if let text = try request.query("status") {
            status = MergeStore.Status(rawValue: text)
            if status == nil {
                throw Problem.badRequest("`status` must be active, undone, suppressed or allowed")
            }
        }
        var members: [ProfileID]?
        if let text = try request.query("profileId") {
            guard let id = ProfileID(text) else { throw Problem.badRequest("`profileId` must be a UUID") }
            members = try await PeopleStore().members(of: [id], in: pool)
        }
        let position = try Cursor.decode(try request.query("cursor"), count: 2).map(Self.position)
        let merges = try await MergeStore.page(
            status, of: members, before: position, limit: limit + 1, in: pool)
        let shown = merges.prefix(limit)
        let next = merges.count > limit ? shown.last : nil
        var items: [JSON] = []
        for merge in shown { items.append(try await notes.opened(merge).json) }
        return .page(
            items,
            nextCursor: next.map { Cursor.encode([$0.at.rfc3339, $0.id.description]) })
    }

    private static func position(_ parts: [String]) throws(Problem) -> (at: Instant, id: MergeID) {
        guard let at = Instant(rfc3339: parts[0]), let id = MergeID(parts[1]) else {
            throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        return (at, id)
    }

    private func make(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(["profileIds", "note"])
        let ids = try fields.array("profileIds").compactMap(\.string).compactMap { ProfileID($0) }
        guard ids.count == 2, try fields.array("profileIds").count == 2 else {
            throw fields.problem("profileIds", expected: "the ids of two profiles")
        }
        let note = try Self.note(fields)
        let by = request.caller.label
        return try await refusing {
            try await idempotency.run(request, body: body) { now, transaction in
                let id = MergeID(UUIDv7.make(at: now))
                let sealed = try await notes.seal(note, of: id, at: now)
                let order = MergeOrder(
                    id: id, cause: ["kind": "operator", "by": .string(by), "note": .string(sealed)], at: now,
                    isExplicit: true)
                let merge = try await merging.merge(
                    ids[0], with: ids[1], because: order, traceparent: request.traceparent, in: transaction)
                return Idempotency.Outcome(
                    status: .created, body: try await notes.opened(merge).json, profileID: merge.survivor)
            }
        }
    }

    private func change(
        _ request: ServiceRequest, of id: MergeID,
        _ perform: @Sendable @escaping (StoredMerge.Step, PostgresTransaction) async throws -> StoredMerge
    ) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(["note"])
        let note = try Self.note(fields)
        let by = request.caller.label
        return try await refusing {
            try await idempotency.run(request, body: body) { now, transaction in
                let sealed = try await notes.seal(note, of: id, at: now)
                let merge = try await perform(
                    StoredMerge.Step(at: now, by: by, note: sealed), transaction)
                return Idempotency.Outcome(
                    status: .ok, body: try await notes.opened(merge).json, profileID: merge.survivor)
            }
        }
    }

    /// Why somebody does it; who comes later wants to know.
    private static func note(_ fields: JSONFields) throws(DecodingProblem) -> String {
        let note = try fields.string("note")
        guard (1...longestNote).contains(note.utf8.count) else {
            throw fields.problem("note", expected: "1 to \(longestNote) bytes of text that say why")
        }
        return note
    }

    private func refusing(_ body: () async throws -> ServiceResponse) async throws -> ServiceResponse {
        do {
            return try await body()
        } catch let refusal as MergeRefusal {
            throw Problem(refusal)
        } catch let refusal as UndoRefusal {
            throw Problem(refusal)
        } catch is RetryLater {
            throw Problem.unavailable("the same person is being changed elsewhere; try again")
        }
    }
}

extension Problem {
    fileprivate static var noMerge: Problem { .notFound("there is no such merge", type: "unknown-merge") }

    fileprivate init(_ refusal: MergeRefusal) {
        self =
            switch refusal {
            case .unknownProfile, .erased: .noProfile
            case .alreadyOne(let id):
                .conflict("both are the same person already, profile \(id)", type: "already-merged")
            case .bothKnown: .conflict("each of the two has a userId", type: "both-known")
            case .undone(let id):
                .conflict("merge \(id) of the two was undone; allow it first", type: "merge-undone")
            }
    }

    fileprivate init(_ refusal: UndoRefusal) {
        self =
            switch refusal {
            case .unknown: .noMerge
            case .undone: .conflict("the merge was undone before", type: "merge-undone")
            case .standing: .conflict("the merge stands; there is nothing to allow", type: "merge-stands")
            case .erased:
                .conflict("everything known of the person was erased", type: "profile-erased")
            }
    }
}

extension StoredMerge {
    /// The merge as the API shows it.
    var json: JSON {
        var members: [String: JSON] = [
            "mergeId": .string(id.description), "profileId": .string(survivor.description),
            "merged": .string(merged.description),
            "between": [.string(survivorMember.description), .string(mergedMember.description)],
            "at": .string(at.rfc3339), "cause": cause,
            "status": .string(undone == nil ? "active" : allowed == nil ? "undone" : "allowed"),
        ]
        members["undone"] = undone?.json
        members["allowed"] = allowed?.json
        if suppressed.count > 0 {
            members["suppressed"] = [
                "count": .integer(suppressed.count),
                "lastAt": suppressed.at.map { .string($0.rfc3339) } ?? .null,
                "lastCause": suppressed.cause ?? .null,
            ]
        }
        return .object(members)
    }
}

extension StoredMerge.Step {
    fileprivate var json: JSON {
        var members: [String: JSON] = ["at": .string(at.rfc3339)]
        members["by"] = by.map { .string($0) }
        members["note"] = note.map { .string($0) }
        return .object(members)
    }
}
