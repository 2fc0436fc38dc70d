import Foundation
import Models
import RecommendationDomain
import Testing

@Suite("What the shop sends")
struct ShopInputTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)

    private func signal(_ name: String, _ properties: [String: JSON]) -> ShopSignal? {
        ShopSignal(
            TrackingEvent(
                messageID: "m1", kind: .track, name: name, timestamp: now, receivedAt: now,
                sourceID: SourceID(UUIDv7.make(at: now, random: (1, 1))), properties: properties))
    }

    @Test("an order is read with ids as text or numbers, and lines without a sku are left out")
    func order() {
        let signal = signal(
            "Order Completed",
            [
                "order_id": 489_434,
                "products": [
                    ["sku": "85048", "quantity": 12], ["product_id": 7, "quantity": "2"], ["sku": "85048"],
                    ["name": "postage"], ["sku": "", "quantity": 1], ["sku": "zero", "quantity": 0], 5,
                ],
            ])
        #expect(
            signal
                == .ordered(
                    key: "489434", Order.Placement(at: now, messageID: "m1", lines: ["85048": 13, "7": 2])))
    }

    @Test("a refund of nothing that can be read is not a refund of everything")
    func refund() {
        #expect(
            signal("Order Refunded", ["order_id": "1"])
                == .refunded(key: "1", messageID: "m1", Order.Refund(at: now, lines: nil)))
        #expect(
            signal("Order Refunded", ["order_id": "1", "products": [["sku": "a", "quantity": -3]]])
                == .refunded(key: "1", messageID: "m1", Order.Refund(at: now, lines: ["a": 3])))
        #expect(signal("Order Refunded", ["order_id": "1", "products": [["name": "?"]]]) == nil)
        #expect(signal("Order Refunded", [:]) == nil)
        #expect(signal("Order Completed", ["order_id": "1"]) == nil)
    }

    @Test("views and carts are interests; hostile values say nothing")
    func interests() {
        #expect(signal("Product Viewed", ["sku": "a"]) == .interest(Interest(sku: "a", viewedAt: now)))
        #expect(signal("Product Added", ["product_id": "a"]) == .interest(Interest(sku: "a", addedAt: now)))
        #expect(signal("Product Removed", ["sku": "a"]) == .interest(Interest(sku: "a", removedAt: now)))
        #expect(signal("Product Viewed", ["sku": .string(String(repeating: "x", count: 300))]) == nil)
        #expect(signal("Product Viewed", ["sku": ["a"]]) == nil)
        #expect(signal("Order Completed", ["products": [["sku": "a", "quantity": 1e300]]]) == nil)
        #expect(signal("Product Searched", ["sku": "a"]) == nil)
    }

    @Test("a catalog item keeps its price exactly")
    func item() throws {
        let item = try CatalogItem(
            json: [
                "sku": "a", "name": "A", "price": "0.10", "currency": "GBP", "url": "https://shop.example/a",
            ])
        #expect(item.json["price"]?.string == "0.10")
        #expect(item.inStock)
        #expect(!item.discontinued)
    }

    @Test(
        "a catalog item with a mistake is refused",
        arguments: [
            #"{"name":"A"}"#, #"{"sku":"a"}"#, #"{"sku":"","name":"A"}"#, #"{"sku":"a\n","name":"A"}"#,
            #"{"sku":"a","name":"A","price":"1.00"}"#, #"{"sku":"a","name":"A","currency":"GBP"}"#,
            #"{"sku":"a","name":"A","price":"-1","currency":"GBP"}"#,
            #"{"sku":"a","name":"A","price":"1e3","currency":"GBP"}"#,
            #"{"sku":"a","name":"A","price":"1","currency":"gbp"}"#,
            #"{"sku":"a","name":"A","url":"javascript:alert(1)"}"#,
            #"{"sku":"a","name":"A","url":"http:///x"}"#,
            #"{"sku":"a","name":"A","url":"https://x/\"onload"}"#,
            #"{"sku":"a","name":"A","categories":[""]}"#, #"{"sku":"a","name":"A","inStock":"yes"}"#,
            #"{"sku":"a","name":"A","colour":"red"}"#, #"[]"#,
        ])
    func badItem(text: String) throws {
        let json = try JSONParser.parse(text)
        #expect(throws: DecodingProblem.self) { try CatalogItem(json: json) }
    }
}
