import IngestionDomain
import Models
import Testing

@Suite("CloudEvents")
struct CloudEventTests {
    private static let event =
        #"{"specversion":"1.0","id":"A 1","source":"/shop","type":"com.example.order.completed","#
        + #""time":"2026-11-23T13:44:00Z","subject":"customer-7","#
        + #""data":{"orderId":1,"total":12.5,"currency":"eur","lines":[{"sku":"K"}]}}"#

    private func decode(_ body: String, _ headers: [String: String]) throws -> DecodedWebhook {
        try WebhookDecoding(provider: .cloudevents).decode(WebhookFixture.verified(body, headers: headers))
    }

    private func problem(_ body: String, _ headers: [String: String]) -> WebhookProblem? {
        do throws(WebhookProblem) {
            _ = try WebhookDecoding(provider: .cloudevents).decode(
                WebhookFixture.verified(body, headers: headers))
            return nil
        } catch {
            return error
        }
    }

    @Test("structured, binary and batched say the same")
    func modes() throws {
        let structured = try decode(
            Self.event, ["content-type": "application/cloudevents+json; charset=utf-8"])
        let batched = try decode(
            "[\(Self.event)]", ["content-type": "application/cloudevents-batch+json"])
        let binary = try decode(
            #"{"orderId":1,"total":12.5,"currency":"eur","lines":[{"sku":"K"}]}"#,
            [
                "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "A%201",
                "ce-source": "/shop",
                "ce-type": "com.example.order.completed", "ce-time": "2026-11-23T13:44:00Z",
                "ce-subject": "\"customer\\-7\"",
            ])
        #expect(structured.records == batched.records && structured.records.count == 1)
        #expect(structured.records.first?.id == "/shop A 1" && binary.records.first?.id == "/shop A 1")
        #expect(structured.records.first?.object == binary.records.first?.object)
        #expect(binary.records.first?.meta["subject"] == "customer-7")
        let items = try WebhookFixture.mapping("cloudevents").items(
            for: binary.records[0], receivedAt: WebhookFixture.now)
        let event = try WebhookFixture.event(try #require(WebhookFixture.calls(items).first))
        #expect(event.userID == "customer-7" && event.properties["total"] == "12.50")
        #expect(event.properties["products"] == [["sku": "K", "quantity": 1]])
    }

    @Test("headers are percent-decoded once, and refused where they are no UTF-8")
    func percent() throws {
        func subject(_ text: String) throws -> JSON? {
            try decode(
                "",
                [
                    "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t",
                    "ce-subject": text,
                ]
            ).records.first?.meta["subject"]
        }
        #expect(try subject("Euro%20%E2%82%AC%20%f0%9f%98%80") == "Euro € 😀")
        #expect(try subject("%2541") == "%41")
        #expect(try subject("100%") == "100%")
        #expect(throws: WebhookProblem.unexpected(path: "ce-subject", expected: "percent-encoded UTF-8")) {
            try subject("%C0%A0")
        }
        #expect(throws: WebhookProblem.self) { try subject("%00") }
    }

    @Test("an event in a batch that is none doesn't cost its neighbours")
    func batch() throws {
        let body = """
            [\(Self.event),{"specversion":"0.3","id":"1","source":"/s","type":"t"},5,
            {"specversion":"1.0","id":"1","source":"/s","type":"t","time":"yesterday"}]
            """
        let decoded = try decode(body, ["content-type": "application/cloudevents-batch+json"])
        #expect(decoded.records.count == 1 && decoded.unreadable.map(\.path) == ["1", "2", "3"])
        #expect(try decode("[]", ["content-type": "application/cloudevents-batch+json"]).records.isEmpty)
    }

    @Test("bytes in base64 are read as their type says")
    func base64() throws {
        let event = #"{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"eyJhIjoxfQ=="}"#
        #expect(
            try decode(event, ["content-type": "application/cloudevents+json"]).records.first?.object == [
                "a": 1
            ])
    }

    @Test("what is no CloudEvent is a 415 or a 400")
    func others() {
        #expect(
            problem("{}", ["content-type": "application/json"])
                == .mediaType(expected: "application/cloudevents+json, or the headers of a CloudEvent (ce-…)")
        )
        #expect(problem("<a/>", ["content-type": "application/cloudevents+xml"]) != nil)
        #expect(
            problem("{}", ["content-type": "application/cloudevents-batch+json"])
                == .unexpected(path: "", expected: "an array of CloudEvents"))
        #expect(problem("{", ["content-type": "application/cloudevents+json"]) != nil)
    }
}
