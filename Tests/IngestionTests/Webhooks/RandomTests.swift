import Foundation
import IngestionDomain
import Models
import Testing

/// JSON of no sense, with names that mappings look for.
struct RandomJSON {
    var generator: SeededGenerator

    private static let names = [
        "id", "type", "subscriptionType", "objectId", "occurredAt", "customer", "email", "line_items", "data",
        "object",
        "payload", "ChangeEventHeader", "recordIds", "entityName", "changeType", "transactionKey", "detail",
        "event",
        "specversion", "source", "total_price", "currency", "updated_at", "mergedObjectIds",
        "primaryObjectId",
        "propertyName", "created", "time", "token", "financial_status", "a.b", "",
    ]
    private static let texts = [
        "", " ", "1", "-1", "12.50", "1e999", "2026-11-23T13:45:00Z", "2026-11-23", "+0000", "paid", "email",
        "1.0",
        "contact.merge", "contact.propertyChange", "orders/paid", "ticket.created",
        "checkout.session.completed",
        "UPDATE", "Contact", "é", "ada@example.com", "eur", String(repeating: "x", count: 2000), "\u{1F600}",
    ]

    mutating func value(depth: Int = 0) -> JSON {
        switch Int.random(in: 0..<(depth > 5 ? 6 : 9), using: &generator) {
        case 0: .null
        case 1: .bool(Bool.random(using: &generator))
        case 2: .integer(Int64.random(in: .min ... .max, using: &generator))
        case 3: .integer(Int64.random(in: 0...3, using: &generator))
        case 4:
            .double(
                [0.5, -1e300, 1e18, 9.2e18, .leastNonzeroMagnitude].randomElement(using: &generator) ?? 0)
        case 5: .string(Self.texts.randomElement(using: &generator) ?? "")
        case 6: .array((0..<Int.random(in: 0...4, using: &generator)).map { _ in value(depth: depth + 1) })
        default:
            .object(
                Dictionary(
                    (0..<Int.random(in: 0...10, using: &generator)).map { _ in
                        (Self.names.randomElement(using: &generator) ?? "", value(depth: depth + 1))
                    }, uniquingKeysWith: { $1 }))
        }
    }
}

@Suite("Random webhooks")
struct RandomTests {
    private static let seed: UInt64 = {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
            ?? .random(in: 0 ... .max)
        print("MARTLET_SEED=\(seed)")
        return seed
    }()

    private static let types: [String: [String]] = [
        "hubspot": [
            "contact.creation", "contact.merge", "contact.propertyChange", "contact.privacyDeletion",
        ],
        "zendesk": ["ticket.created", "ticket.status_changed", "user.created"],
        "salesforce": ["Contact.update", "Contact.outbound", "Opportunity.outbound", "Lead.gap_create"],
        "shopify": [
            "orders/create", "orders/paid", "refunds/create", "carts/update", "customers/redact", "x",
        ],
        "stripe": ["checkout.session.completed", "customer.created", "charge.refunded"],
        "cloudevents": ["com.example.order.completed", "com.example.account.joined"],
    ]

    @Test(
        "any JSON has an outcome, and what is made of it is one that ingestion can judge",
        arguments: types.keys.sorted())
    func outcomes(_ name: String) throws {
        var random = RandomJSON(generator: SeededGenerator(seed: Self.seed))
        let mapping = try WebhookFixture.mapping(name)
        let types = try #require(Self.types[name])
        for round in 0..<2000 {
            let record = InboundRecord(
                provider: mapping.provider, type: types[round % types.count], id: String(round),
                object: random.value(), meta: ["subject": random.value(), "shop": random.value()])
            let items = mapping.items(for: record, receivedAt: WebhookFixture.now)
            #expect(!items.isEmpty)
            #expect(items == mapping.items(for: record, receivedAt: WebhookFixture.now))
            for call in WebhookFixture.calls(items) {
                // A verdict either way; it must not trap.
                do throws(Refusal) {
                    _ = try EventParser(limits: IngestionLimits()).parse(
                        Array(call.compact.utf8)[...],
                        in: EventParser.Envelope(sourceID: SourceID(UUID()), receivedAt: WebhookFixture.now))
                } catch {}
            }
        }
    }

    @Test(
        "any body is decoded or refused, and every element of it is accounted for",
        arguments: types.keys.sorted())
    func bodies(_ name: String) throws {
        var random = RandomJSON(generator: SeededGenerator(seed: Self.seed &+ 1))
        let mapping = try WebhookFixture.mapping(name)
        for _ in 0..<2000 {
            let body = random.value()
            let webhook = WebhookFixture.verified(
                body.compact,
                headers: [
                    "content-type": name == "cloudevents"
                        ? "application/cloudevents-batch+json" : "application/json",
                    "x-shopify-topic": "orders/create",
                ])
            do throws(WebhookProblem) {
                let decoded = try WebhookDecoding(provider: mapping.provider, envelope: mapping.envelope)
                    .decode(webhook)
                if name == "hubspot" || name == "cloudevents" {
                    #expect(decoded.records.count + decoded.unreadable.count == body.array?.count ?? 1)
                }
                #expect(
                    decoded.records.allSatisfy {
                        !mapping.items(for: $0, receivedAt: WebhookFixture.now).isEmpty
                    })
            } catch {
                #expect(!error.detail.isEmpty)
            }
        }
    }

    @Test("any JSON as a mapping is read or refused with its mistakes")
    func mappings() {
        var random = RandomJSON(generator: SeededGenerator(seed: Self.seed &+ 2))
        for _ in 0..<2000 {
            let json: JSON = [
                "provider": "shopify", "define": random.value(),
                "rules": [
                    [
                        "when": ["type": random.value(), "where": [random.value()]], "track": random.value(),
                        "userId": random.value(), "properties": random.value(), "externalIds": random.value(),
                        "alias": random.value(),
                    ]
                ],
            ]
            do throws(InvalidMapping) {
                _ = try WebhookMapping(json: json)
            } catch {
                #expect(!error.mistakes.isEmpty)
            }
        }
    }

    @Test("XML with bytes changed at random is read or refused")
    func xml() {
        var generator = SeededGenerator(seed: Self.seed &+ 3)
        let message = Array(SalesforceFixture.message.utf8)
        let bytes = Array("<>&;\"'/!?[]-:=x \u{0}".utf8) + [0xFF, 0xC3]
        for _ in 0..<3000 {
            var altered = message
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let place = Int.random(in: 0..<altered.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: altered[place] = bytes.randomElement(using: &generator) ?? 0
                case 1: altered.remove(at: place)
                default: altered.insert(bytes.randomElement(using: &generator) ?? 0, at: place)
                }
            }
            _ = try? SalesforceMessage(altered)
        }
    }
}
