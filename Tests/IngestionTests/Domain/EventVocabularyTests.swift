import Models
import Testing

@testable import IngestionDomain

@Suite("The vocabulary of shops")
struct EventVocabularyTests {
    func translate(_ name: String, _ properties: JSON = [:], context: JSON = [:]) -> TrackingEvent {
        EventVocabulary.translate(TrackingPlanTests.event(name, properties, context: context))
    }

    @Test("events of GA4 and of Segment's first specification get the names of the second")
    func names() {
        let table: [(String, String)] = [
            ("view_item", "Product Viewed"), ("view_item_list", "Product List Viewed"),
            ("select_item", "Product Clicked"),
            ("add_to_cart", "Product Added"), ("remove_from_cart", "Product Removed"),
            ("view_cart", "Cart Viewed"),
            ("begin_checkout", "Checkout Started"), ("add_payment_info", "Payment Info Entered"),
            ("add_shipping_info", "Checkout Step Completed"), ("purchase", "Order Completed"),
            ("refund", "Order Refunded"),
            ("add_to_wishlist", "Product Added to Wishlist"), ("search", "Products Searched"),
            ("sign_up", "Signed Up"),
            ("login", "Signed In"), ("share", "Product Shared"), ("view_promotion", "Promotion Viewed"),
            ("select_promotion", "Promotion Clicked"), ("Completed Order", "Order Completed"),
            ("Viewed Product", "Product Viewed"), ("Added Product", "Product Added"),
            ("Removed Product", "Product Removed"),
            ("Viewed Product Category", "Product List Viewed"), ("Clicked Product", "Product Clicked"),
            ("Started Order", "Checkout Started"), ("completed_order", "Order Completed"),
            ("viewed product", "Product Viewed"),
            ("order_completed", "Order Completed"), ("productAdded", "Product Added"),
            ("Product viewed", "Product Viewed"),
        ]
        for (name, expected) in table {
            let event = translate(name)
            #expect(event.name == expected)
            #expect(event.context["martlet"]?["originalEvent"] == .string(name))
        }
    }

    @Test("anything else stays as it is")
    func others() {
        for name in [
            "Order Completed", "Search", "Purchase", "View_Item", "my event", "",
            String(repeating: "p", count: 1000),
        ] {
            let event = TrackingPlanTests.event(name, ["items": [["item_id": 1]], "value": 5])
            #expect(EventVocabulary.translate(event) == event)
        }
        let share = TrackingPlanTests.event("share", ["content_type": "image", "item_id": "i"])
        #expect(EventVocabulary.translate(share) == share)
        let page = TrackingPlanTests.event("purchase", kind: .page)
        #expect(EventVocabulary.translate(page) == page)
    }

    @Test("a purchase of GA4 becomes an order with its products")
    func purchase() {
        let event = translate(
            "purchase",
            [
                "transaction_id": "T1", "value": 72.05, "tax": 3.6, "shipping": 5.99, "currency": "USD",
                "coupon": "SUMMER",
                "affiliation": "Store",
                "items": [
                    [
                        "item_id": "SKU_1", "item_name": "Tee", "item_brand": "Google",
                        "item_category": "Apparel",
                        "item_category2": "Adult", "item_variant": "green", "index": 0, "price": 10.01,
                        "quantity": 3,
                        "coupon": "ITEM",
                    ],
                    ["item_id": "SKU_2", "sku": "own", "name": "kept", "item_name": "other"], "odd",
                ],
            ])
        #expect(
            event.properties == [
                "order_id": "T1", "total": 72.05, "revenue": 72.05, "tax": 3.6, "shipping": 5.99,
                "currency": "USD",
                "coupon": "SUMMER", "affiliation": "Store",
                "products": [
                    [
                        "product_id": "SKU_1", "sku": "SKU_1", "name": "Tee", "brand": "Google",
                        "category": "Apparel",
                        "item_category2": "Adult", "variant": "green", "position": 0, "price": 10.01,
                        "quantity": 3,
                        "coupon": "ITEM",
                    ],
                    ["product_id": "SKU_2", "sku": "own", "name": "kept", "item_name": "other"], "odd",
                ],
            ])
    }

    @Test("events of one product have its members at the top")
    func oneProduct() {
        let one = translate(
            "add_to_cart",
            ["currency": "EUR", "value": 20, "items": [["item_id": "s", "item_name": "Tee", "price": 10]]])
        #expect(
            one.properties == [
                "currency": "EUR", "value": 20, "product_id": "s", "sku": "s", "name": "Tee", "price": 10,
            ])
        // What would be lost at the top stays in the list.
        let clash = translate("add_to_cart", ["coupon": "A", "items": [["item_id": "s", "coupon": "B"]]])
        #expect(
            clash.properties == [
                "coupon": "A", "product_id": "s", "sku": "s",
                "products": [["product_id": "s", "sku": "s", "coupon": "B"]],
            ])
        let two = translate("add_to_cart", ["items": [["item_id": "s"], ["item_id": "t"]]])
        #expect(
            two.properties == [
                "products": [["product_id": "s", "sku": "s"], ["product_id": "t", "sku": "t"]]
            ])
    }

    @Test("promotions, searches, checkouts and shares keep what they carry under Segment's names")
    func others2() {
        let promotion = translate(
            "select_promotion",
            [
                "promotion_name": "Sale", "creative_name": "banner",
                "items": [["item_id": "s", "promotion_id": "P", "creative_slot": "top"]],
            ])
        #expect(promotion.properties["promotion_id"] == "P" && promotion.properties["name"] == "Sale")
        #expect(promotion.properties["creative"] == "banner" && promotion.properties["position"] == "top")
        #expect(translate("search", ["search_term": "tee"]).properties == ["query": "tee"])
        #expect(
            translate("add_payment_info", ["payment_type": "Card"]).properties == ["payment_method": "Card"])
        #expect(
            translate("add_shipping_info", ["shipping_tier": "Air"]).properties == ["shipping_method": "Air"])
        #expect(
            translate("refund", ["transaction_id": "T", "value": 5]).properties == [
                "order_id": "T", "total": 5,
            ])
        #expect(
            translate("share", ["method": "mail", "item_id": "s", "content_type": "product"]).properties
                == ["share_via": "mail", "product_id": "s", "sku": "s", "content_type": "product"])
        #expect(
            translate("Viewed Product", ["id": "7", "sku": "s"]).properties == [
                "product_id": "7", "sku": "s",
            ])
        #expect(
            translate("Completed Order", ["orderId": "1", "products": [["id": "7"]]]).properties
                == ["order_id": "1", "products": [["product_id": "7"]]])
    }

    @Test("what is there already is never overwritten")
    func careful() {
        let event = translate(
            "purchase",
            [
                "order_id": "own", "transaction_id": "T", "total": 1, "value": 2, "products": ["own"],
                "items": [["item_id": 1]],
            ], context: ["martlet": ["originalEvent": "first", "x": 1]])
        #expect(
            event.properties == [
                "order_id": "own", "transaction_id": "T", "total": 1, "revenue": 2, "value": 2,
                "products": ["own"],
                "items": [["item_id": 1]],
            ])
        #expect(event.context["martlet"] == ["originalEvent": "first", "x": 1])
        #expect(translate("search", context: ["martlet": "theirs"]).context["martlet"] == "theirs")
    }

    @Test("random events: translating twice is translating once, and no value is lost")
    func random() {
        var generator = planGenerator()
        let names =
            Array(EventNames.googleAnalytics.keys).sorted() + [
                "Viewed Product", "Completed Order", "order_updated",
            ]
        let keys = [
            "items", "products", "item_id", "product_id", "sku", "value", "total", "transaction_id", "name",
            "promotion_name",
            "creative_slot", "position", "method", "search_term", "coupon", "id", "index", "item_name",
        ]
        func value(_ depth: Int) -> JSON {
            switch generator.number(0...(depth > 0 ? 5 : 2)) {
            case 0: return .integer(Int64(generator.number(0...3)))
            case 1: return .string(["a", "b"].pick(&generator))
            case 2: return .null
            case 3: return .array((0..<generator.number(0...2)).map { _ in value(depth - 1) })
            default: return object(depth)
            }
        }
        func object(_ depth: Int) -> JSON {
            var members: [String: JSON] = [:]
            for _ in 0..<generator.number(0...6) { members[keys.pick(&generator)] = value(depth - 1) }
            return .object(members)
        }
        func leaves(_ json: JSON) -> Set<JSON> {
            switch json {
            case .array(let elements): elements.reduce(into: []) { $0.formUnion(leaves($1)) }
            case .object(let members): members.values.reduce(into: []) { $0.formUnion(leaves($1)) }
            default: [json]
            }
        }
        for _ in 0..<5000 {
            let event = TrackingPlanTests.event(names.pick(&generator), object(4))
            let once = EventVocabulary.translate(event)
            #expect(EventVocabulary.translate(once) == once)
            #expect(leaves(.object(once.properties)) == leaves(.object(event.properties)))
        }
    }
}
