import HTTPTypes
import IngestionDomain
import Logging
import Metrics
import Models
import Postgres
import ServiceKit

/// Takes a request of a webhook from its bytes to its verdicts.
struct WebhookReceiver: Sendable {
    let directory: WebhookDirectory
    let reading: WebhookReading
    let writer: EventWriter
    let pool: PostgresPool
    let clock: ServiceClock
    let rates: SourceRates
    let recent: RecentItems
    /// Where senders reach the service, without a slash at the end; nil where that is what they say themselves.
    let publicURL: String?
    let logger: Logger

    static let bodyBytes = 1 << 20

    /// The webhook; a problem when there is none, or its secrets can't be opened.
    func webhook(_ id: WebhookID) async throws -> KnownWebhook {
        do {
            guard let webhook = try await directory.webhook(id) else { throw Problem.noWebhook }
            return webhook
        } catch let error as WebhookVaultLocked {
            logger.error("\(error)", metadata: ["webhook": "\(id)"])
            throw Problem.unavailable("the webhook can't verify anything for the moment; send the same again")
        }
    }

    /// The verdicts, once they are committed.
    func receive(_ request: ServiceRequest, for webhook: KnownWebhook) async throws -> JSON {
        let coding = (request.header(.contentEncoding) ?? "identity").lowercased()
        guard coding == "identity" else {
            throw Problem.unsupportedMediaType("the body without a Content-Encoding")
        }
        let body = try await request.body(maxBytes: Self.bodyBytes)
        let (now, generation) = (try await clock.now(), recent.generation)
        let verified = try verify(asSent(request, body), webhook, now)
        let contents = try await reading.contents(of: verified, webhook, at: now)
        try rates.check(webhook.sourceID, items: contents.lines.count)
        while true {
            let accepted = try await WebhookDeliveryStore.accepted(
                verified.replayKey, of: webhook.id, now: now, in: pool)
            switch verified.replayKey.verdict(accepted: accepted, now: now) {
            case .replayed: throw refused(.replayed, webhook)
            case .duplicate:
                let verdicts = try await acknowledge(contents, webhook, now)
                note(contents, verdicts, of: webhook, at: now, since: generation, bytes: body.count)
                return contents.json(verdicts)
            case .fresh:
                let delivery = EventWriter.Delivery(
                    sourceID: webhook.sourceID, receivedAt: now, traceparent: request.traceparent,
                    items: contents.items,
                    webhook: AcceptedWebhook(
                        id: webhook.id, replayKey: verified.replayKey, privacyCalls: contents.privacyCalls))
                // Of two that come at once, one is accepted and the other looks again.
                do {
                    let verdicts = try await writer.write(delivery)
                    note(contents, verdicts, of: webhook, at: now, since: generation, bytes: body.count)
                    return contents.json(verdicts)
                } catch is WebhookAcceptedMeanwhile {}
            }
        }
    }

    /// Notes what came for those who watch its source.
    private func note(
        _ contents: WebhookContents, _ verdicts: [Verdict], of webhook: KnownWebhook, at now: Instant,
        since generation: Int, bytes: Int
    ) {
        let items = contents.items
        recent.note(items, verdicts, of: webhook.sourceID, at: now, since: generation) { _ in
            bytes / max(1, items.count)
        }
    }

    /// Answers a repetition: it has no effect, and is counted as what it is.
    private func acknowledge(
        _ contents: WebhookContents, _ webhook: KnownWebhook, _ now: Instant
    ) async throws -> [Verdict] {
        let verdicts = contents.items.map { _ in Verdict.duplicate }
        var counts = ReconciliationCounts()
        counts.add(verdicts, source: webhook.sourceID, at: now)
        let added = counts
        try await pool.transaction { try await ReconciliationStore.add(added, in: $0) }
        EventWriter.count(verdicts)
        return verdicts
    }

    private func verify(
        _ request: WebhookRequest, _ webhook: KnownWebhook, _ now: Instant
    ) throws(Problem) -> VerifiedWebhook {
        do throws(WebhookRefusal) {
            return try webhook.mapping.authentication.verifier.verify(
                request, secret: webhook.secret, now: now)
        } catch {
            throw refused(error, webhook)
        }
    }

    private func refused(_ refusal: WebhookRefusal, _ webhook: KnownWebhook) -> Problem {
        Counter(label: "martlet_ingestion_webhook_refusals_total", dimensions: [("reason", refusal.reason)])
            .increment()
        logger.info(
            "a request of a webhook was refused",
            metadata: ["webhook": "\(webhook.id)", "reason": "\(refusal.reason)"])
        return Problem(
            status: .unauthorized, type: refusal.reason, title: "The request is not taken for its sender's",
            detail: refusal.detail, headers: [.wwwAuthenticate: #"Signature realm="martlet""#])
    }

    /// The request as its sender saw it.
    private func asSent(_ request: ServiceRequest, _ body: [UInt8]) -> WebhookRequest {
        var headers: [String: String] = [:]
        for field in request.headers {
            let name = field.name.canonicalName
            headers[name] = headers[name].map { "\($0), \(field.value)" } ?? field.value
        }
        let base = publicURL ?? "http://\(request.authority ?? "")"
        return WebhookRequest(
            method: request.method.rawValue, uri: base + request.target, headers: headers, body: body)
    }
}
