import Crypto
import FoundationEssentials
import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams

/// Adding to what is known of people, one by one or by the thousand.
struct UpsertRoutes {
    let upserts: Upserts
    let idempotency: Idempotency
    let clock: ServiceClock
    private static let attempts = 5
    private static let batchBytes = 8 << 20
    private static let mostItems = 1_000

    func add(to router: ServiceRouter) {
        router.post("/v1/profiles", scope: .profilesWrite, touches: .people) { request in
            try await one(request)
        }
        router.post("/v1/profiles/batch", scope: .profilesWrite, touches: .people) { request in
            try await batch(request)
        }
    }

    private func one(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await request.json(maxBytes: ProfileUpsert.itemBytes)
        let upsert = try ProfileUpsert(json: body, now: try await clock.now())
        let base = try Self.messageBase(of: request)
        return try await again {
            try await idempotency.run(request, body: body) { now, transaction in
                let verdicts = try await upserts.run(
                    [.success(Upserts.Item(upsert: upsert, messageID: base))], onlyIf: request.ifMatch,
                    traceparent: request.traceparent, at: now, in: transaction)
                guard let verdict = verdicts.first, case .object(var members) = verdict.json(at: 0) else {
                    throw Problem.noProfile
                }
                if case .refused(let refusal) = verdict { throw Problem.badRequest(refusal.reason) }
                members["position"] = nil
                let status: HTTPResponse.Status = if case .created = verdict { .created } else { .ok }
                return Idempotency.Outcome(status: status, body: .object(members))
            }
        }
    }

    private func batch(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let body = try await request.decodedBody(maxBytes: Self.batchBytes)
        let texts = try Self.items(of: body)
        let now = try await clock.now()
        let base = try Self.messageBase(of: request)
        let items = texts.enumerated().map { index, text in
            Result { () throws(ItemRefusal) in
                // As long as each other, so that of two items about one person the later one comes after.
                let number = String(10_000 + index).dropFirst()
                return Upserts.Item(
                    upsert: try ProfileUpsert(text: text, now: now), messageID: "\(base):\(number)")
            }
        }
        return try await again {
            try await idempotency.run(request, content: body) { now, transaction in
                let verdicts = try await upserts.run(
                    items, traceparent: request.traceparent, at: now, in: transaction)
                return Idempotency.Outcome(status: .ok, body: Self.json(verdicts))
            }
        }
    }

    /// The texts of the items: what is wrong inside one is that one's verdict.
    private static func items(of body: [UInt8]) throws -> [ArraySlice<UInt8>] {
        let members = try JSONParser.members(of: body[...])
        if members.contains(where: { $0.key != "items" }) {
            throw Problem.badRequest("the body must be an object with `items` and nothing else")
        }
        guard let text = members.last?.value else {
            throw Problem.badRequest("`items` must be an array of 1 to \(mostItems) items")
        }
        guard text.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "[") else {
            throw Problem.badRequest("`items` must be an array of 1 to \(mostItems) items")
        }
        let items = try JSONParser.elements(of: text)
        guard (1...mostItems).contains(items.count) else {
            throw Problem.badRequest("`items` must have 1 to \(mostItems) items; send more in several calls")
        }
        return items
    }

    private static func json(_ verdicts: [UpsertVerdict]) -> JSON {
        var members: [String: JSON] = [
            "items": .array(verdicts.enumerated().map { $1.json(at: $0) })
        ]
        for name in ["created", "updated", "unchanged", "refused"] {
            members[name] = .integer(Int64(verdicts.count { $0.name == name }))
        }
        return .object(members)
    }

    /// What the messages of the call are named after: the caller's key for it, so that a repetition names the same.
    static func messageBase(of request: ServiceRequest) throws -> String {
        guard let key = try Idempotency.key(of: request) else {
            return "api:" + UUIDv7.make(at: .fromSystemClock()).hyphenated
        }
        let digest = SHA256.hash(data: Data("\(request.caller.label)\n\(request.path)\n\(key)".utf8))
        return "api:" + Data(digest.prefix(16)).base64URL
    }

    /// Once more when somebody else has just met the same person; now they are known.
    private func again(_ body: () async throws -> ServiceResponse) async throws -> ServiceResponse {
        for _ in 0..<Self.attempts {
            do { return try await body() } catch is RetryLater { continue }
        }
        throw Problem.unavailable("the same person is being resolved elsewhere; try again")
    }
}
