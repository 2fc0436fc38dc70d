import IdentityDomain
import Models
import Postgres
import ServiceKit

/// Makes one attempt: renders, signs, posts.
struct WebhookSender: Sendable {
    let reading: ProfileReading
    let vault: EndpointVault
    let client: OutwardClient
    /// Signatures bear the time of the machine, also in a rehearsal: receivers compare it with their own.
    let machine: @Sendable () -> Instant

    /// `traits` are those that whoever asked about the delivery has read, together with what permits it.
    func send(_ delivery: ClaimedDelivery, with traits: ReadTraits = .none) async throws -> FinishedAttempt {
        let started = ContinuousClock.now
        let at = machine()
        let outcome = try await outcome(of: delivery, traits, at: at)
        return FinishedAttempt(
            delivery: delivery, outcome: outcome, at: machine(), took: ContinuousClock.now - started)
    }

    /// The traits of the person of a delivery, which may have none.
    enum ReadTraits: Sendable {
        case none
        case read([String: JSON]?)
    }

    private func outcome(
        of delivery: ClaimedDelivery, _ read: ReadTraits, at now: Instant
    ) async throws -> WebhookOutcome {
        let url: OutwardURL
        let secrets: WebhookSecrets
        do { url = try OutwardURL(delivery.url) } catch { return .unanswered("invalidURL") }
        do { secrets = try vault.open(delivery.secrets, of: delivery.endpointID) } catch {
            return .unanswered("secretLocked")
        }
        var traits: [String: JSON]?
        if case .read(let values) = read {
            traits = values
        } else if delivery.includesTraits, !delivery.isErased, let id = delivery.profileID {
            traits = try await reading.profile(id)?.values
        }
        let body = Array(WebhookPayload(delivery: delivery, traits: traits).json.compact.utf8)
        let isRotating = delivery.previousSecretUntil.map { $0 > now } ?? false
        let id = delivery.eventID.description
        let timestamp = now.milliseconds / 1000
        let signature = WebhookSignature.header(
            id: id, timestamp: timestamp, body: body,
            secrets: isRotating ? secrets.texts : Array(secrets.texts.prefix(1)))
        let answer = await client.post(
            body, to: url,
            headers: [
                ("content-type", "application/json"), ("user-agent", "Martlet-Webhooks/1"),
                ("webhook-id", id),
                ("webhook-timestamp", String(timestamp)), ("webhook-signature", signature),
            ])
        return switch answer {
        case .status(let status, let retryAfter):
            .answered(status: status, retryAfter: retryAfter.flatMap { RetryAfter.wait($0, now: machine()) })
        case .failure(let failure): .unanswered(failure.rawValue)
        }
    }
}
