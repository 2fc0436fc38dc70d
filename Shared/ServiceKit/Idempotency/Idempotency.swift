import Crypto
package import HTTPTypes
package import Models
package import Postgres
package import Sealing

/// Answers a repeated POST with what was answered the first time (Idempotency-Key, draft-ietf-httpapi), for services
/// whose schema has a table `idempotency_key`.
///
/// The key is taken in the transaction of the effect: the effect is there if and only if its answer is kept.
package struct Idempotency: Sendable {
    /// What a POST did.
    package struct Outcome: Sendable {
        package let status: HTTPResponse.Status
        package let body: JSON
        /// Whom the answer is about, so that it goes with them.
        package let profileID: ProfileID?

        package init(status: HTTPResponse.Status, body: JSON, profileID: ProfileID? = nil) {
            self.status = status
            self.body = body
            self.profileID = profileID
        }
    }

    let pool: PostgresPool
    let clock: ServiceClock
    let vault: Vault

    package init(pool: PostgresPool, clock: ServiceClock, vault: Vault) {
        self.vault = vault
        self.pool = pool
        self.clock = clock
    }

    /// Runs `perform` in a transaction, unless the request's key says that it was run before.
    package func run(
        _ request: ServiceRequest, body: JSON,
        _ perform: @Sendable (Instant, PostgresTransaction) async throws -> Outcome
    ) async throws -> ServiceResponse {
        try await run(request, content: Array(body.compact.utf8), perform)
    }

    /// The same for a body that is not, or not yet, read as JSON.
    package func run(
        _ request: ServiceRequest, content: [UInt8],
        _ perform: @Sendable (Instant, PostgresTransaction) async throws -> Outcome
    ) async throws -> ServiceResponse {
        let key = try Self.key(of: request)
        let caller = request.caller.label
        let digest = Array(SHA256.hash(data: Array("\(request.path)\n".utf8) + content))
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            if let key,
                let used = try await IdempotencyStore.take(
                    caller: caller, key: key, requestDigest: digest, at: now, in: transaction)
            {
                return try await repeated(used, digest: digest, at: Self.place(caller, key))
            }
            let outcome = try await perform(now, transaction)
            if let key {
                try await IdempotencyStore.keep(
                    caller: caller, key: key, status: outcome.status.code,
                    body: try await vault.days.key(at: now)
                        .seal(outcome.body.compact, at: Self.place(caller, key)),
                    profileID: outcome.profileID, in: transaction)
            }
            return .json(outcome.body, status: outcome.status)
        }
    }

    private static func place(_ caller: String, _ key: String) -> String {
        "idempotency_key.body \(caller) \(key)"
    }

    private func repeated(
        _ used: IdempotencyStore.Used, digest: [UInt8], at place: String
    ) async throws -> ServiceResponse {
        guard used.requestDigest == digest else { throw Problem.idempotencyKeyReused }
        guard let status = used.status, let kept = used.body,
            let body = try await vault.days.open(kept, at: place)
        else {
            throw Problem.idempotentRequestUnderWay
        }
        return .bytes(
            Array(body.utf8), contentType: "application/json", status: HTTPResponse.Status(code: status))
    }

    /// 1 to 255 visible characters.
    package static func key(of request: ServiceRequest) throws(Problem) -> String? {
        guard let key = request.header(.idempotencyKey) else { return nil }
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .badRequest("`Idempotency-Key` must be 1 to 255 visible ASCII characters")
        }
        return key
    }
}

extension Problem {
    /// 409: the key stands for another request.
    package static var idempotencyKeyReused: Problem {
        .conflict(
            "this Idempotency-Key was used for another request; send a new key",
            type: "idempotency-key-reused")
    }

    /// 503: what the first request came to is not known yet.
    package static var idempotentRequestUnderWay: Problem {
        .unavailable("a request with this Idempotency-Key is under way; try again")
    }
}

extension Caller {
    /// Who it is, for records: a key's id, never the key.
    package var label: String {
        switch self {
        case .anonymous: "anonymous"
        case .apiKey(let id, _): "key \(id)"
        case .service(let name): "service \(name.rawValue)"
        }
    }
}
