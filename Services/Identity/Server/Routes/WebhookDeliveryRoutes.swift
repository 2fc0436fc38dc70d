import HTTPTypes
import IdentityDomain
import Models
import Postgres
import ServiceKit

/// What was delivered to an endpoint, and what still is to be.
struct WebhookDeliveryRoutes: Sendable {
    let access: WebhookAccess
    private let deliveries = DeliveryListStore()

    init(access: WebhookAccess) { self.access = access }

    func add(to router: ServiceRouter) {
        router.get("/v1/webhook-endpoints/{id}/deliveries", scope: .webhooksRead, touches: .people) {
            try await list($0)
        }
        router.get(
            "/v1/webhook-endpoints/{id}/deliveries/{deliveryId}", scope: .webhooksRead, touches: .people
        ) { request in
            let endpoint = try await access.endpoint(request, in: access.pool)
            return .json(try await delivery(request, of: endpoint, in: access.pool).json)
        }
        router.post(
            "/v1/webhook-endpoints/{id}/deliveries/{deliveryId}/redeliver", scope: .webhooksWrite,
            touches: .people
        ) {
            try await redeliver($0)
        }
        router.post(
            "/v1/webhook-endpoints/{id}/deliveries/{deliveryId}/cancel", scope: .webhooksWrite,
            touches: .people
        ) {
            try await cancel($0)
        }
        router.post("/v1/webhook-endpoints/{id}/test", scope: .webhooksWrite, touches: .changes) {
            try await test($0)
        }
    }

    private func list(_ request: ServiceRequest) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...200, default: 50)
        let state = try request.query("state")
        let states = ["pending", "delivered", "failed", "cancelled", "withheld"]
        guard state.map(states.contains) ?? true else {
            throw Problem.badRequest("`state` must be pending, delivered, failed, cancelled or withheld")
        }
        var before: WebhookEventID?
        if let cursor = try Cursor.decode(try request.query("cursor"), count: 1) {
            guard let id = WebhookEventID(cursor[0]) else { throw Problem.notACursor }
            before = id
        }
        let endpoint = try await access.endpoint(request, in: access.pool)
        let found = try await deliveries.list(
            of: endpoint.id, before: before, state: state, limit: limit + 1, in: access.pool)
        let page = found.prefix(limit)
        let next = found.count > limit ? page.last.map { Cursor.encode([$0.eventID.description]) } : nil
        return .page(page.map(\.json), nextCursor: next)
    }

    private func test(_ request: ServiceRequest) async throws -> ServiceResponse {
        let occurredAt = try await access.clock.now()
        let delivery = try await access.once(request, body: [:]) { transaction in
            let endpoint = try await enabled(request, in: transaction)
            let now = access.machine()
            let event = WebhookEventID(UUIDv7.make(at: now))
            try await deliveries.queueTest(
                event, for: endpoint.id, occurredAt: occurredAt, at: now, in: transaction)
            return (
                WebhookKeyStore.Effect(endpointID: endpoint.id, eventID: event),
                try await found(event, of: endpoint.id, in: transaction)
            )
        } repeat: {
            try await repeated($0, in: $1)
        }
        return accepted(delivery)
    }

    private func redeliver(_ request: ServiceRequest) async throws -> ServiceResponse {
        let delivery = try await access.once(request, body: [:]) { transaction in
            let endpoint = try await enabled(request, in: transaction)
            let delivery = try await self.delivery(request, of: endpoint, in: transaction)
            guard
                try await deliveries.requeue(
                    delivery.eventID, of: endpoint.id, at: access.machine(), in: transaction)
            else {
                throw Problem.conflict(
                    "the delivery is still to be made, or just being made; it needs no other",
                    type: "webhook-delivery-pending")
            }
            return (
                WebhookKeyStore.Effect(endpointID: endpoint.id, eventID: delivery.eventID),
                try await found(delivery.eventID, of: endpoint.id, in: transaction)
            )
        } repeat: {
            try await repeated($0, in: $1)
        }
        return accepted(delivery)
    }

    /// Gives a delivery up, so that what waits behind it may follow. It takes effect once, whoever repeats it.
    private func cancel(_ request: ServiceRequest) async throws -> ServiceResponse {
        let delivery = try await access.pool.transaction { transaction in
            let endpoint = try await access.lock(request, in: transaction)
            let delivery = try await self.delivery(request, of: endpoint, in: transaction)
            try await deliveries.cancel(
                delivery.eventID, of: endpoint.id, at: access.machine(), in: transaction)
            return try await found(delivery.eventID, of: endpoint.id, in: transaction)
        }
        return .json(delivery.json)
    }

    private func enabled(
        _ request: ServiceRequest, in transaction: PostgresTransaction
    ) async throws -> StoredEndpoint {
        let endpoint = try await access.lock(request, in: transaction)
        guard endpoint.isEnabled else { throw Problem.webhookEndpointDisabled }
        return endpoint
    }

    private func delivery(
        _ request: ServiceRequest, of endpoint: StoredEndpoint, in session: some PostgresSession
    ) async throws -> StoredDelivery {
        try await found(try request.pathID("deliveryId"), of: endpoint.id, in: session)
    }

    private func repeated(
        _ effect: WebhookKeyStore.Effect, in transaction: PostgresTransaction
    ) async throws -> StoredDelivery {
        guard let event = effect.eventID else { throw Problem.noWebhookDelivery }
        return try await found(event, of: effect.endpointID, in: transaction)
    }

    private func found(
        _ event: WebhookEventID, of endpoint: WebhookEndpointID, in session: some PostgresSession
    ) async throws -> StoredDelivery {
        guard let delivery = try await deliveries.get(event, of: endpoint, in: session) else {
            throw Problem.noWebhookDelivery
        }
        return delivery
    }

    private func accepted(_ delivery: StoredDelivery) -> ServiceResponse {
        .json(delivery.json, status: .accepted)
    }
}
