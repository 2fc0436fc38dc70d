import Crypto
import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ServiceKit

/// What the routes of webhooks share: looking up, versions, and calls that are repeated.
struct WebhookAccess: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let machine: @Sendable () -> Instant
    let vault: EndpointVault
    let client: OutwardClient
    let endpoints = EndpointStore()
    let keys = WebhookKeyStore()

    init(
        pool: PostgresPool, clock: ServiceClock, machine: @escaping @Sendable () -> Instant,
        vault: EndpointVault,
        client: OutwardClient
    ) {
        self.pool = pool
        self.clock = clock
        self.machine = machine
        self.vault = vault
        self.client = client
    }

    func endpoint(_ request: ServiceRequest, in session: some PostgresSession) async throws -> StoredEndpoint
    {
        guard let endpoint = try await endpoints.get(try request.pathID("id"), in: session) else {
            throw Problem.noWebhookEndpoint
        }
        return endpoint
    }

    /// The endpoint of the path, locked, in the version that the caller knows.
    func lock(_ request: ServiceRequest, in transaction: PostgresTransaction) async throws -> StoredEndpoint {
        guard let endpoint = try await endpoints.lock(try request.pathID("id"), in: transaction) else {
            throw Problem.noWebhookEndpoint
        }
        if let wanted = request.ifMatch, !wanted.contains("*"), !wanted.contains(String(endpoint.version)) {
            throw Problem.preconditionFailed("read the endpoint again; `If-Match` must name its ETag")
        }
        return endpoint
    }

    /// Runs `perform` once for the request's Idempotency-Key, and `repeat` when it was run before; the key is taken in
    /// the transaction of the effect.
    func once<Result: Sendable>(
        _ request: ServiceRequest, body: JSON,
        perform: (PostgresTransaction) async throws -> (WebhookKeyStore.Effect, Result),
        repeat: (WebhookKeyStore.Effect, PostgresTransaction) async throws -> Result
    ) async throws -> Result {
        let key = try Idempotency.key(of: request)
        let digest = Data(SHA256.hash(data: Array("\(request.path)\n\(body.compact)".utf8)))
        return try await pool.transaction { transaction in
            guard let key else { return try await perform(transaction).1 }
            let use = WebhookKeyStore.Use(caller: request.caller.label, key: key, digest: digest)
            if let used = try await keys.find(use, in: transaction) {
                guard used.digest == digest else { throw Problem.idempotencyKeyReused }
                return try await `repeat`(used.effect, transaction)
            }
            let (effect, result) = try await perform(transaction)
            guard try await keys.keep(use, effect, at: machine(), in: transaction) else {
                throw Problem.idempotentRequestUnderWay
            }
            return result
        }
    }
}

extension Problem {
    static var noWebhookEndpoint: Problem {
        .notFound(
            "there is no such endpoint; GET /v1/webhook-endpoints lists them",
            type: "unknown-webhook-endpoint")
    }

    static var noWebhookDelivery: Problem {
        .notFound(
            "the endpoint has no such delivery; they are kept for 30 days", type: "unknown-webhook-delivery")
    }

    static var webhookEndpointDisabled: Problem {
        .conflict(
            #"the endpoint is disabled; PATCH it with {"enabled": true} first"#,
            type: "webhook-endpoint-disabled")
    }
}
