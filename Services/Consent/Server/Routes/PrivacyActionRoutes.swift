import ConsentDomain
import Crypto
import Foundation
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// What is done with a request of `/v1/privacy-requests/{id}`: verifying who asks, assigning, noting, extending, ending.
struct PrivacyActionRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let desk: PrivacyDesk
    let idempotency: Idempotency

    func add(to router: ServiceRouter) {
        router.patch("/v1/privacy-requests/{id}", scope: .privacyWrite, touches: .people) {
            try await assign($0)
        }
        router.post(
            "/v1/privacy-requests/{id}/verification-tokens", scope: .privacyWrite, touches: .pseudonyms
        ) {
            try await issue($0)
        }
        router.post("/v1/privacy-requests/{id}/verify", scope: .privacyWrite, touches: .people) {
            try await verify($0)
        }
        router.post("/v1/privacy-requests/{id}/notes", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["text"]) { id, fields, occasion, transaction in
                try await desk.note(
                    try fields.text("text", limit: PrivacyForm.noteLimit), on: id, on: occasion,
                    in: transaction)
            }
        }
        router.post("/v1/privacy-requests/{id}/extend", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["reason", "noticeSentAt"]) { id, fields, occasion, transaction in
                let reason = try fields.text("reason", limit: PrivacyForm.noteLimit)
                let noticeAt = try fields.instant("noticeSentAt")
                return try await desk.take(
                    .extend(noticeAt: noticeAt), as: .extended, on: id,
                    noting: "\(reason) (told at \(noticeAt.rfc3339))", on: occasion, in: transaction)
            }
        }
        router.post("/v1/privacy-requests/{id}/refuse", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["reason", "note"]) { id, fields, occasion, transaction in
                let reason = try fields.text("reason", expected: labelRule, Purpose.isLabel)
                return try await desk.take(
                    .refuse(reason: reason), as: .refused, on: id, noting: try Self.note(fields),
                    on: occasion, in: transaction)
            }
        }
        router.post("/v1/privacy-requests/{id}/retry", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["note"]) { id, fields, occasion, transaction in
                try await desk.retry(
                    id, noting: try Self.note(fields), on: occasion, in: transaction)
            }
        }
        router.post("/v1/privacy-requests/{id}/cancel", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["note"]) { id, fields, occasion, transaction in
                try await desk.take(
                    .cancel(reason: nil), as: .cancelled, on: id, noting: try Self.note(fields),
                    on: occasion, in: transaction)
            }
        }
        router.post("/v1/privacy-requests/{id}/lift", scope: .privacyWrite, touches: .people) { request in
            try await act(request, ["reason", "noticeSentAt"]) { id, fields, occasion, transaction in
                let reason = try fields.text("reason", limit: PrivacyForm.noteLimit)
                let noticeAt = try fields.instant("noticeSentAt")
                guard noticeAt <= occasion.now else {
                    throw fields.problem(
                        "noticeSentAt",
                        expected: "a time that is not later than now: the person is told first")
                }
                return try await desk.lift(
                    id, noting: "\(reason) (told at \(noticeAt.rfc3339))", on: occasion, in: transaction)
            }
        }
    }

    private static func note(_ fields: JSONFields) throws(DecodingProblem) -> String? {
        fields["note"] == nil ? nil : try fields.text("note", limit: PrivacyForm.noteLimit)
    }

    /// One action with the request as it stands after it.
    private func act(
        _ request: ServiceRequest, _ members: Set<String>,
        _ action:
            @Sendable (PrivacyRequestID, JSONFields, PrivacyDesk.Occasion, PostgresTransaction) async throws
            -> StoredPrivacyRequest
    ) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        try fields.allow(members)
        return try await idempotency.run(request, body: body) { now, transaction in
            let after = try await action(id, fields, occasion(request, now), transaction)
            return Idempotency.Outcome(
                status: .ok, body: try await desk.view(of: after.id, in: transaction),
                profileID: after.profileID)
        }
    }

    private func occasion(_ request: ServiceRequest, _ now: Instant) -> PrivacyDesk.Occasion {
        .init(caller: request.caller.label, now: now, traceparent: request.traceparent)
    }

    private func assign(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let fields = try JSONFields(try await request.json(maxBytes: 64 << 10))
        try fields.allow(["assignee"])
        guard fields.members["assignee"] != nil else {
            throw fields.problem("assignee", expected: "\(labelRule), or null")
        }
        let assignee =
            fields["assignee"] == nil
            ? nil : try fields.text("assignee", expected: labelRule, Purpose.isLabel)
        let now = try await clock.now()
        return .json(
            try await pool.transaction { transaction in
                let after = try await desk.assign(
                    id, to: assignee, on: occasion(request, now), in: transaction)
                return try await desk.view(of: after.id, in: transaction)
            })
    }

    // MARK: Verification

    /// The secret, this once: only its digest is kept.
    private func issue(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let now = try await clock.now()
        var generator = SystemRandomNumberGenerator()
        let secret = Data((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
        let token = VerificationToken(
            digest: Self.digest(secret.base64URL), expiresAt: now + VerificationToken.lifetime)
        try await pool.transaction { transaction in
            try await desk.issue(token, for: id, on: occasion(request, now), in: transaction)
        }
        return .json(
            ["token": .string(secret.base64URL), "expiresAt": .string(token.expiresAt.rfc3339)],
            status: .created)
    }

    private static func digest(_ token: String) -> [UInt8] { Array(SHA256.hash(data: Data(token.utf8))) }

    /// By the secret, or by somebody who says how they know. Whatever is wrong with a secret, the answer is the same.
    private func verify(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: PrivacyRequestID.self)
        let body = try await request.json(maxBytes: 64 << 10)
        let fields = try JSONFields(body)
        let now = try await clock.now()
        guard fields["token"] != nil else {
            let how = try PrivacyForm.verification(fields)
            return .json(
                try await pool.transaction { transaction in
                    let after = try await desk.verify(
                        id, saying: how, on: occasion(request, now), in: transaction)
                    return try await desk.view(of: after.id, in: transaction)
                })
        }
        try fields.allow(["token"])
        let digest = Self.digest(try fields.text("token", limit: 512))
        let view = try await pool.transaction { transaction -> JSON? in
            switch try await desk.verify(
                id, digest: digest, on: occasion(request, now), in: transaction)
            {
            case .verified(let after): try await desk.view(of: after.id, in: transaction)
            case .failed: nil
            }
        }
        guard let view else { throw Self.tokenRefused }
        return .json(view)
    }

    private static let tokenRefused = Problem(
        status: .unprocessableContent, type: "token-refused", title: "The token is not accepted",
        detail:
            "it is wrong, has expired, was used, or was tried too often; issue another one, or verify by another method"
    )
}
