import FoundationEssentials
import IdentityDomain
import Logging
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import Synchronization
import TestSupport

@testable import IdentityServer

/// Identity with endpoints and a machine whose clock a test moves.
struct WebhookWorld {
    let identity: IdentityDatabase
    /// Events are queued by the real one, which this one is ahead of.
    let machine = SimulatedClock(Instant.fromSystemClock() + .hours(1))
    let vault = EndpointVault(secret: ServiceHarness.secret)
    let endpoints = EndpointStore()

    var pool: PostgresPool { identity.pool }

    /// `consent` says whether there is a consent service.
    static func with<T>(consent: Bool = false, _ body: (WebhookWorld) async throws -> T) async throws -> T {
        try await IdentityDatabase.with(consent: consent) { try await body(WebhookWorld(identity: $0)) }
    }

    /// The calls that identity is to make.
    var outbox: Outbox { Outbox(schema: ServiceName.identity.schema, vault: identity.store.vault) }

    /// Another instance each time.
    func dispatcher(timeout: Duration = .seconds(60)) -> WebhookDispatcher {
        let client = OutwardClient(
            rule: AddressRule(allowed: ["127.0.0.0/8"].compactMap { IPNetwork($0) }), allowsHTTP: true,
            connectTimeout: .seconds(30), timeout: timeout)
        let machine = machine
        let sender = WebhookSender(
            reading: ProfileReading(store: identity.store, pool: pool), vault: vault,
            client: client, machine: { machine.now })
        return WebhookDispatcher(
            pool: pool, hub: WakeHub(pool: pool, channels: [WebhookQueue.channel]), sender: sender,
            gate: DestinationGate(
                reading: ProfileReading(store: identity.store, pool: pool),
                clock: SimulatedClock(start + .hours(1)).serviceClock),
            outbox: outbox, logger: Logger(label: "test"))
    }

    @discardableResult
    func endpoint(
        _ url: String, types: [WebhookEventType] = WebhookEventType.subscribable,
        includesTraits: Bool = false,
        ordering: WebhookOrdering = .endpoint
    ) async throws -> (id: WebhookEndpointID, secrets: WebhookSecrets) {
        let id = WebhookEndpointID(UUIDv7.make(at: start))
        let secrets = WebhookSecrets.make()
        try await endpoints.insert(
            StoredEndpoint(
                id: id, url: url, description: "", eventTypes: types, includesTraits: includesTraits,
                ordering: ordering,
                isEnabled: true, version: 1, secrets: try vault.seal(secrets, for: id), createdAt: start,
                updatedAt: start), in: pool)
        return (id, secrets)
    }

    func stored(_ id: WebhookEndpointID) async throws -> StoredEndpoint? {
        try await endpoints.get(id, in: pool)
    }

    func deliveries(of id: WebhookEndpointID) async throws -> [StoredDelivery] {
        try await DeliveryListStore().list(of: id, before: nil, state: nil, limit: 1000, in: pool)
    }

    /// Has events resolved.
    func resolve(_ events: [TrackingEvent], batch: Int = 500) async throws {
        try await identity.publish(events)
        try await identity.consumer(batch: batch).drain()
    }
}

extension HTTPReceiver.Received {
    var json: JSON { (try? JSONParser.parse(body[...])) ?? .null }
    var webhookID: String { headers["webhook-id"] ?? "" }
}

/// Statuses one after the other; the last stays, and 0 is one that nobody knows.
final class Answers: Sendable {
    private let left: Mutex<[Int]>

    init(_ statuses: [Int]) { left = Mutex(statuses) }

    func next() -> Int {
        let status = left.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? 200 }
        return status == 0 ? 599 : status
    }
}
