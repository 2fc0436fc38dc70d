import Models
import ServiceKit

/// What the operator says about webhooks.
struct WebhookSettings: Sendable {
    /// Networks that are not public and may be called all the same.
    let rule: AddressRule
    /// Whether plain http may be called; for development.
    let allowsHTTP: Bool

    init(_ settings: ServiceSettings) throws(SettingsError) {
        rule = try AddressRule(setting: "WEBHOOK_ALLOWED_NETWORKS", in: settings)
        switch settings.string("WEBHOOK_ALLOW_HTTP") {
        case nil, "false": allowsHTTP = false
        case "true": allowsHTTP = true
        default: throw .invalid("MARTLET_WEBHOOK_ALLOW_HTTP", expected: "true or false")
        }
    }

    var client: OutwardClient { OutwardClient(rule: rule, allowsHTTP: allowsHTTP) }
}

/// Everything about webhooks, wired together.
struct Webhooks: Sendable {
    let routes: WebhookEndpointRoutes
    let deliveryRoutes: WebhookDeliveryRoutes
    let dispatcher: WebhookDispatcher

    init(
        _ context: ServiceContext, secret: String, reading: ProfileReading,
        machine: @escaping @Sendable () -> Instant = Instant.fromSystemClock
    ) throws {
        let vault = EndpointVault(secret: secret)
        let client = try WebhookSettings(context.settings).client
        let access = WebhookAccess(
            pool: context.pool, clock: context.clock, machine: machine, vault: vault, client: client)
        routes = WebhookEndpointRoutes(access: access)
        deliveryRoutes = WebhookDeliveryRoutes(access: access)
        dispatcher = WebhookDispatcher(
            pool: context.pool, hub: context.hub,
            sender: WebhookSender(reading: reading, vault: vault, client: client, machine: machine),
            gate: DestinationGate(reading: reading, clock: context.clock),
            outbox: context.outbox, logger: context.logger)
    }

    func add(to router: ServiceRouter) {
        routes.add(to: router)
        deliveryRoutes.add(to: router)
    }
}
