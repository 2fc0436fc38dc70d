import Foundation
import IngestionDomain
import Models
import Testing

@testable import IngestionServer

@Suite("Signatures that a mapping describes, and secrets that are sent along")
struct HMACTests {
    private func verifier(_ authentication: JSON) throws -> any WebhookVerifier {
        try WebhookMapping(json: [
            "provider": "json", "authentication": authentication, "envelope": ["type": ["path": "type"]],
            "rules": [["when": ["type": "*"], "ignore": "a test"]],
        ]).authentication.verifier
    }

    private func request(_ headers: [String: String], uri: String = "https://cdp.example.com/w")
        -> WebhookRequest
    {
        WebhookRequest(method: "POST", uri: uri, headers: headers, body: WebhookFixture.stripe.body)
    }

    @Test("GitHub's, Slack's and Standard Webhooks' ways, and SHA-512")
    func known() throws {
        let github = try verifier(["scheme": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="])
        #expect(
            VerificationTests.refusal(
                github, request(["x-hub-signature-256": "sha256=\(WebhookVectors.github)"]))
                == nil)
        #expect(
            VerificationTests.refusal(github, request(["x-hub-signature-256": WebhookVectors.github]))
                == .malformedHeader("x-hub-signature-256"))

        let slack = try verifier([
            "scheme": "hmac", "header": "X-Slack-Signature", "prefix": "v0=",
            "timestampHeader": "X-Slack-Request-Timestamp", "signed": "v0:{timestamp}:{body}",
        ])
        let headers = [
            "x-slack-signature": "v0=\(WebhookVectors.slack)", "x-slack-request-timestamp": "1795441500",
        ]
        #expect(VerificationTests.refusal(slack, request(headers)) == nil)
        #expect(
            VerificationTests.refusal(slack, request(headers), at: WebhookFixture.now + .seconds(301))
                == .stale)
        let key = try slack.verify(
            request(headers), secret: .init(WebhookFixture.secret), now: WebhookFixture.now
        )
        .replayKey
        #expect(key.verdict(accepted: WebhookFixture.now, now: WebhookFixture.now) == .replayed)

        let standard = try verifier([
            "scheme": "hmac", "header": "webhook-signature", "prefix": "v1,", "encoding": "base64",
            "timestampHeader": "webhook-timestamp", "signed": "{header:webhook-id}.{timestamp}.{body}",
        ])
        #expect(
            VerificationTests.refusal(
                standard,
                request([
                    "webhook-signature": "v1,AAAA v1,\(WebhookVectors.standard)",
                    "webhook-timestamp": "1795441500",
                    "webhook-id": "msg_1",
                ])) == nil)

        let long = try verifier([
            "scheme": "hmac", "header": "X-Sig", "encoding": "base64", "algorithm": "sha512",
        ])
        #expect(VerificationTests.refusal(long, request(["x-sig": WebhookVectors.sha512])) == nil)
        #expect(VerificationTests.refusal(long, request(["x-sig": WebhookVectors.github])) == .mismatch)
    }

    @Test("a secret is found where it may be, and nowhere else")
    func places() throws {
        let bearer = try verifier(["scheme": "secret"])
        #expect(
            VerificationTests.refusal(bearer, request(["authorization": "bearer \(WebhookFixture.secret)"]))
                == nil)
        #expect(VerificationTests.refusal(bearer, request(["authorization": "Bearer other"])) == .mismatch)
        #expect(VerificationTests.refusal(bearer, request([:])) == .missingHeader("authorization"))
        #expect(
            VerificationTests.refusal(
                bearer, request([:], uri: "https://x/w?access_token=\(WebhookFixture.secret)"))
                == .missingHeader("authorization"))

        let query = try verifier(["scheme": "secret", "in": ["query", "path", "basic"]])
        #expect(
            VerificationTests.refusal(
                query, request([:], uri: "https://x/w?a=1&access_token=\(WebhookFixture.secret)"))
                == nil)
        #expect(
            VerificationTests.refusal(query, request([:], uri: "https://x/w/\(WebhookFixture.secret)?a=1"))
                == nil)
        #expect(
            VerificationTests.refusal(query, request([:], uri: "https://x/w/\(WebhookFixture.secret)/more"))
                == .mismatch)
        let basic = Data("user:pass".utf8).base64EncodedString()
        #expect(
            VerificationTests.refusal(
                query, request(["authorization": "Basic \(basic)"]), secret: .init("user:pass")) == nil)
    }

    @Test("Salesforce is taken with the secret and its own organisation alone")
    func salesforce() throws {
        let verifier = SalesforceVerifier(organizationID: "00D000000000062EAA", places: [.path])
        func request(_ body: String, secret: String = WebhookFixture.secret) -> WebhookRequest {
            WebhookRequest(
                method: "POST", uri: "https://cdp.example.com/w/\(secret)",
                headers: ["content-type": "text/xml"],
                body: WebhookFixture.bytes(body))
        }
        let message = SalesforceFixture.message
        #expect(VerificationTests.refusal(verifier, request(message)) == nil)
        #expect(VerificationTests.refusal(verifier, request(message, secret: "wrong")) == .mismatch)
        let foreign = message.replacing("00D000000000062EAA", with: "00D000000000063EAA")
        #expect(VerificationTests.refusal(verifier, request(foreign)) == .foreignOrganization)
        #expect(VerificationTests.refusal(verifier, request("<nonsense")) == .unreadableBody)
        let first = try verifier.verify(
            request(message), secret: .init(WebhookFixture.secret), now: WebhookFixture.now)
        let again = try verifier.verify(
            request(message.replacing("SESSION", with: "OTHER")), secret: .init(WebhookFixture.secret),
            now: WebhookFixture.now)
        #expect(first.replayKey == again.replayKey)
        #expect(
            first.replayKey.verdict(accepted: WebhookFixture.now, now: WebhookFixture.now + .seconds(60))
                == .duplicate)
    }

    @Test("the handshake of CloudEvents grants what is allowed and echoes nothing else")
    func handshake() {
        let headers = ["webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"]
        let answer = WebhookHandshake(ratePerMinute: 600).answer(headers: headers)
        #expect(
            answer?.map { "\($0.name): \($0.value)" } == [
                "Allow: POST", "WebHook-Allowed-Origin: eventgrid.azure.net", "WebHook-Allowed-Rate: 600",
            ])
        #expect(WebhookHandshake(allowedOrigins: ["other.example"]).answer(headers: headers) == nil)
        #expect(WebhookHandshake().answer(headers: [:]) == nil)
        #expect(WebhookHandshake().answer(headers: ["webhook-request-origin": "a\r\nSet-Cookie: x"]) == nil)
    }
}
