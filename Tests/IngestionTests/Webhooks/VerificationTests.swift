import IngestionDomain
import Models
import Testing

@testable import IngestionServer

@Suite("Verification of webhooks")
struct VerificationTests {
    /// Each way to sign, with a request that is signed that way.
    static let signed:
        [(name: String, verifier: any WebhookVerifier, request: WebhookRequest, signature: String)] = [
            ("hubspot", HubSpotVerifier(), WebhookFixture.hubSpot, "x-hubspot-signature-v3"),
            ("zendesk", ZendeskVerifier(), WebhookFixture.zendesk, "x-zendesk-webhook-signature"),
            ("shopify", ShopifyVerifier(), WebhookFixture.shopify, "x-shopify-hmac-sha256"),
            ("stripe", StripeVerifier(), WebhookFixture.stripe, "stripe-signature"),
        ]

    static func refusal(
        _ verifier: any WebhookVerifier, _ request: WebhookRequest,
        secret: WebhookSecret = .init(WebhookFixture.secret),
        at now: Instant = WebhookFixture.now
    ) -> WebhookRefusal? {
        do throws(WebhookRefusal) {
            _ = try verifier.verify(request, secret: secret, now: now)
            return nil
        } catch {
            return error
        }
    }

    @Test("what Python signs is taken")
    func taken() {
        for (name, verifier, request, _) in Self.signed {
            #expect(Self.refusal(verifier, request) == nil, "\(name)")
        }
    }

    @Test("a byte that is altered anywhere in the body is refused")
    func alteredBody() {
        for (name, verifier, request, _) in Self.signed {
            for index in request.body.indices {
                var altered = request
                altered.body[index] ^= 0x01
                #expect(Self.refusal(verifier, altered) == .mismatch, "\(name) at \(index)")
            }
            var longer = request
            longer.body.append(0x20)
            #expect(Self.refusal(verifier, longer) == .mismatch, "\(name)")
            longer.body = []
            #expect(Self.refusal(verifier, longer) == .mismatch, "\(name)")
        }
    }

    @Test("a character that is altered anywhere in the signature is refused")
    func alteredSignature() throws {
        for (name, verifier, request, header) in Self.signed where name != "stripe" {
            let signature = Array(try #require(request.headers[header]).utf8)
            for index in signature.indices {
                var bytes = signature
                // In base64 the last character before `=` has bits that decoding ignores: the text must differ all the same.
                bytes[index] = bytes[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                var altered = request
                altered.headers[header] = String(decoding: bytes, as: UTF8.self)
                #expect(Self.refusal(verifier, altered) == .mismatch, "\(name) at \(index)")
            }
        }
        for index in WebhookVectors.stripe.indices {
            var hex = WebhookVectors.stripe
            hex.replaceSubrange(index...index, with: hex[index] == "0" ? "1" : "0")
            var altered = WebhookFixture.stripe
            altered.headers["stripe-signature"] = "t=1795441500,v1=\(hex)"
            #expect(Self.refusal(StripeVerifier(), altered) == .mismatch)
        }
    }

    @Test("a signature in another encoding, cut off, or of another secret is refused")
    func otherForms() {
        for (name, verifier, request, header) in Self.signed {
            #expect(Self.refusal(verifier, request, secret: .init("another")) == .mismatch, "\(name)")
            #expect(Self.refusal(verifier, request, secret: .init("")) == .noSecret, "\(name)")
            #expect(Self.refusal(verifier, request, secret: .init([])) == .noSecret, "\(name)")
            for other in ["sha256=abc", "ÿÿÿ", String(repeating: "A", count: 100_000), "====", "t=,v1="] {
                var altered = request
                altered.headers[header] = other
                #expect(Self.refusal(verifier, altered) != nil, "\(name) with \(other.prefix(10))")
            }
        }
    }

    @Test("a header that is missing is named")
    func missing() {
        for (name, verifier, request, header) in Self.signed {
            var without = request
            without.headers[header] = nil
            #expect(Self.refusal(verifier, without) == .missingHeader(header), "\(name)")
            without.headers[header] = "  "
            #expect(Self.refusal(verifier, without) == .missingHeader(header), "\(name)")
        }
        var untimed = WebhookFixture.hubSpot
        untimed.headers["x-hubspot-request-timestamp"] = nil
        #expect(Self.refusal(HubSpotVerifier(), untimed) == .missingHeader("x-hubspot-request-timestamp"))
        untimed = WebhookFixture.zendesk
        untimed.headers["x-zendesk-webhook-signature-timestamp"] = nil
        #expect(
            Self.refusal(ZendeskVerifier(), untimed)
                == .missingHeader("x-zendesk-webhook-signature-timestamp"))
    }

    @Test(
        "what is signed more than five minutes ago is stale, and what is signed as far ahead is refused as well"
    )
    func stale() {
        for (name, verifier, request, _) in Self.signed where name != "shopify" {
            #expect(Self.refusal(verifier, request, at: WebhookFixture.now + .seconds(300)) == nil, "\(name)")
            #expect(
                Self.refusal(verifier, request, at: WebhookFixture.now + .milliseconds(300_001)) == .stale,
                "\(name)"
            )
            #expect(Self.refusal(verifier, request, at: WebhookFixture.now - .seconds(300)) == nil, "\(name)")
            #expect(
                Self.refusal(verifier, request, at: WebhookFixture.now - .milliseconds(300_001)) == .future,
                "\(name)")
        }
    }

    @Test("a time that is put in place of the signed one is refused")
    func otherTime() {
        var altered = WebhookFixture.hubSpot
        altered.headers["x-hubspot-request-timestamp"] = "1795441800000"
        #expect(Self.refusal(HubSpotVerifier(), altered, at: WebhookFixture.now + .seconds(300)) == .mismatch)
        altered.headers["x-hubspot-request-timestamp"] = "+1795441500000"
        #expect(Self.refusal(HubSpotVerifier(), altered) == .mismatch)
        altered = WebhookFixture.zendesk
        altered.headers["x-zendesk-webhook-signature-timestamp"] = "2026-11-23T13:45:00.000Z"
        #expect(Self.refusal(ZendeskVerifier(), altered) == .mismatch)
        altered = WebhookFixture.stripe
        altered.headers["stripe-signature"] = "t=1795441501,v1=\(WebhookVectors.stripe)"
        #expect(Self.refusal(StripeVerifier(), altered) == .mismatch)
    }

    @Test("HubSpot signs method and address, decoded as its table says")
    func hubSpotAddress() {
        var altered = WebhookFixture.hubSpot
        altered.method = "PUT"
        #expect(Self.refusal(HubSpotVerifier(), altered) == .mismatch)
        altered = WebhookFixture.hubSpot
        altered.uri = altered.uri.replacing("https:", with: "http:")
        #expect(Self.refusal(HubSpotVerifier(), altered) == .mismatch)
        altered.uri = WebhookFixture.hubSpot.uri + "&x=1"
        #expect(Self.refusal(HubSpotVerifier(), altered) == .mismatch)
        var text = WebhookFixture.hubSpot
        text.uri = "https://cdp.example.com/h"
        text.body = WebhookFixture.bytes(#"[{"propertyValue":"Zoë €"}]"#)
        text.headers["x-hubspot-signature-v3"] = WebhookVectors.hubspotUTF8
        #expect(Self.refusal(HubSpotVerifier(), text) == nil)
    }

    @Test("during a change of secrets either is good, and several v1 may come")
    func rotation() {
        #expect(
            Self.refusal(
                StripeVerifier(), WebhookFixture.stripe, secret: .init(["new", WebhookFixture.secret])) == nil
        )
        var both = WebhookFixture.stripe
        both.headers["stripe-signature"] =
            "t=1795441500, v1=\(WebhookVectors.stripeOld), v1=\(WebhookVectors.stripe)"
        #expect(Self.refusal(StripeVerifier(), both) == nil)
        #expect(Self.refusal(StripeVerifier(), both, secret: .init("an-older-secret")) == nil)
        // Whichever of them is left away, the request is known again.
        let first = try? StripeVerifier().verify(
            both, secret: .init(WebhookFixture.secret), now: WebhookFixture.now)
        let second = try? StripeVerifier().verify(
            WebhookFixture.stripe, secret: .init(WebhookFixture.secret), now: WebhookFixture.now)
        #expect(first != nil && first?.replayKey == second?.replayKey)
    }

    @Test(
        "a Stripe header that is none is refused",
        arguments: [
            "t=1795441500", "v1=00", "t=1,t=2,v1=00", "nonsense", "t=abc,v1=00", "t=1795441500,v0=00",
            "t=1795441500" + String(repeating: ",v1=00", count: 11),
        ])
    func stripeHeader(_ header: String) {
        var request = WebhookFixture.stripe
        request.headers["stripe-signature"] = header
        #expect(Self.refusal(StripeVerifier(), request) != nil)
    }

    @Test("a secret is never printed")
    func secretIsNotPrinted() {
        let secret = WebhookSecret("hush-hush")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("hush"))
    }
}
