import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// `/v1/hooks/{id}`: where other systems send to. Nothing but their own signatures says who they are.
struct HookRoutes: Sendable {
    let receiver: WebhookReceiver

    func add(to router: ServiceRouter) {
        // The second is for senders that can set nothing but the address, and have the secret in it.
        for path in ["/v1/hooks/{id}", "/v1/hooks/{id}/{secret}"] {
            router.post(path, access: .provenToHandler) { try await receive($0) }
        }
        router.on(.options, "/v1/hooks/{id}", .provenToHandler) { try await shakeHands($0) }
    }

    private func receive(_ request: ServiceRequest) async throws -> ServiceResponse {
        let webhook = try await receiver.webhook(try request.pathID("id"))
        let verdicts = try await receiver.receive(request, for: webhook)
        // Salesforce sends a message again for a day unless it is told just this.
        if webhook.mapping.provider == .salesforce, request.mediaType.hasSuffix("xml") {
            return .bytes(SalesforceMessage.acknowledgement, contentType: "text/xml; charset=utf-8")
        }
        return .json(verdicts)
    }

    private func shakeHands(_ request: ServiceRequest) async throws -> ServiceResponse {
        let webhook = try await receiver.webhook(try request.pathID("id"))
        var headers: [String: String] = [:]
        for field in request.headers { headers[field.name.canonicalName] = field.value }
        guard webhook.mapping.provider == .cloudevents,
            let answer = WebhookHandshake().answer(headers: headers)
        else {
            throw Problem(
                status: .methodNotAllowed, type: "method-not-allowed", title: "This method is not known here",
                detail: "send events by POST", headers: [.allow: "POST"])
        }
        var fields: HTTPFields = [:]
        for (name, value) in answer {
            if let name = HTTPField.Name(name) { fields[name] = value }
        }
        return .empty(.ok, headers: fields)
    }
}
