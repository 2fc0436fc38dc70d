import IngestionDomain
import Models
import Postgres
import Sealing

/// A webhook that requests may come to.
struct KnownWebhook: Sendable {
    let id: WebhookID
    let sourceID: SourceID
    let mapping: WebhookMapping
    let secret: WebhookSecret
}

/// The webhooks, read and opened, remembered for a moment so that not every request asks the database.
actor WebhookDirectory {
    private struct Known {
        var webhook: KnownWebhook
        var until: ContinuousClock.Instant
    }

    /// How long a webhook that was changed or disabled at another instance may go on here.
    private static let lifetime: Duration = .seconds(5)
    private static let capacity = 1000

    private let store: WebhookStore
    private let vault: WebhookVault
    private var known: [WebhookID: Known] = [:]

    init(store: WebhookStore, vault: WebhookVault) {
        self.store = store
        self.vault = vault
    }

    /// The webhook; nil when there is none of this id, or it is disabled.
    func webhook(_ id: WebhookID) async throws -> KnownWebhook? {
        if let hit = known[id], hit.until > .now { return hit.webhook }
        guard let stored = try await store.get(id), stored.disabledAt == nil else {
            known[id] = nil
            return nil
        }
        let webhook = KnownWebhook(
            id: id, sourceID: stored.sourceID, mapping: try WebhookMapping(json: stored.mapping),
            secret: try vault.open(stored.secrets, of: id))
        if known.count >= Self.capacity { known.removeAll() }
        known[id] = Known(webhook: webhook, until: .now + Self.lifetime)
        return webhook
    }

    /// To be called where a webhook was changed.
    func forget(_ id: WebhookID) {
        known[id] = nil
    }
}
