import Foundation
import IngestionDomain
import Models
import Testing

@Suite("The mappings that are shipped")
struct ExampleMappingTests {
    @Test(
        "every one is read without a mistake",
        arguments: [
            "hubspot", "zendesk", "salesforce", "shopify", "stripe", "cloudevents",
        ])
    func read(_ name: String) throws {
        do {
            let mapping = try WebhookFixture.mapping(name)
            #expect(mapping.provider.rawValue == name)
        } catch let error as InvalidMapping {
            Issue.record("\(error.mistakes.map(\.description).joined(separator: "\n"))")
        }
    }

    private func shopify(_ topic: String, _ body: String) throws -> [MappedItem] {
        try WebhookFixture.items(
            "shopify", body,
            headers: [
                "content-type": "application/json", "x-shopify-topic": topic,
                "x-shopify-shop-domain": "Shop.myshopify.com",
            ])
    }

    private static let order = """
        {"id":820982911946154508,"admin_graphql_api_id":"gid://shopify/Order/820982911946154508",
        "cancelled_at":null,"cart_token":"c1-68778783ad298f1c80c3bafcddeea02f","checkout_id":901414060,
        "created_at":"2026-11-23T08:40:00-05:00","updated_at":"2026-11-23T08:41:00-05:00",
        "processed_at":"2026-11-23T08:40:30-05:00","currency":"EUR","email":"ada@example.com",
        "financial_status":"paid","name":"#9999","total_price":"398.00","subtotal_price":"388.00","total_tax":"0.00",
        "total_discounts":"20.00","discount_codes":[{"code":"AUTUMN","amount":"20.00","type":"fixed_amount"}],
        "payment_gateway_names":["visa","bogus"],"phone":null,
        "customer":{"id":115310627314723954,"email":"ada@example.com","first_name":"Ada"},
        "total_shipping_price_set":{"shop_money":{"amount":"10.00","currency_code":"EUR"}},
        "line_items":[{"id":866550311766439020,"product_id":632910392,"variant_id":808950810,"sku":"IPOD2008PINK",
        "title":"IPod Nano - 8GB","vendor":"Apple","price":"199.0","quantity":2},
        {"id":2,"product_id":null,"sku":"","title":"Gift","price":"0.00","quantity":1}]}
        """

    @Test("a Shopify order that is paid is completed, with its products and exact money")
    func orderPaid() throws {
        let calls = WebhookFixture.calls(try shopify("orders/paid", Self.order))
        let call = try #require(calls.first)
        #expect(calls.count == 1)
        let event = try WebhookFixture.event(call)
        #expect(event.kind == .track && event.name == "Order Completed")
        #expect(event.userID == nil)
        #expect(event.anonymousID == "shopify:cart:c1-68778783ad298f1c80c3bafcddeea02f")
        #expect(event.timestamp == Instant(rfc3339: "2026-11-23T13:40:30Z"))
        #expect(event.properties["total"] == "398.00" && event.properties["currency"] == "EUR")
        #expect(event.properties["order_id"] == "820982911946154508")
        #expect(event.properties["coupon"] == "AUTUMN" && event.properties["shipping"] == "10.00")
        let products = try #require(event.properties["products"]?.array)
        #expect(products.count == 2)
        #expect(
            products.first == [
                "product_id": "632910392", "variant": "808950810", "sku": "IPOD2008PINK",
                "name": "IPod Nano - 8GB",
                "brand": "Apple", "price": "199.00", "quantity": 2, "currency": "EUR",
            ])
        #expect(event.context["traits"]?["email"] == "ada@example.com")
        #expect(event.context["shop"] == "shop.myshopify.com")
        #expect(event.context["integration"]?["name"] == "shopify")
        #expect(
            event.context["externalIds"] == [
                [
                    "type": "shopify:customer", "id": "115310627314723954", "collection": "users",
                    "encoding": "none",
                ]
            ])
        #expect(event.messageID == "shopify:order-paid:orders/paid:digest")
    }

    @Test("a request that says an unpaid order was paid completes nothing")
    func unpaid() throws {
        let items = try shopify("orders/paid", Self.order.replacing("\"paid\"", with: "\"pending\""))
        #expect(items.count == 1)
        guard case .ignored = items.first?.outcome else {
            Issue.record("\(items)")
            return
        }
    }

    @Test("a new order is placed, and its number becomes a name of the customer's")
    func orderCreated() throws {
        let calls = WebhookFixture.calls(try shopify("orders/create", Self.order))
        #expect(calls.map { $0["type"] } == ["track", "identify"])
        #expect(calls.last?["anonymousId"] == "shopify:order:820982911946154508")
        for call in calls {
            let event = try WebhookFixture.event(call)
            #expect(WebhookFixture.names(event) == ["shopify:customer:115310627314723954"])
        }
    }

    @Test("carts, refunds, checkouts and customers of Shopify")
    func others() throws {
        let cart = try WebhookFixture.event(
            try #require(
                WebhookFixture.calls(
                    try shopify(
                        "carts/update",
                        #"{"id":"eeaf","token":"eeaf","line_items":[{"product_id":1,"quantity":3,"price":"5.5"}],"#
                            + #""updated_at":"2026-11-23T13:40:00.000Z","created_at":"2026-11-23T13:00:00.000Z"}"#
                    )
                ).first))
        #expect(cart.name == "Cart Updated" && cart.anonymousID == "shopify:cart:eeaf")
        #expect(cart.properties["products"]?[path: "0.price"] == "5.50")

        let refund = try WebhookFixture.event(
            try #require(
                WebhookFixture.calls(
                    try shopify(
                        "refunds/create",
                        #"{"id":509,"order_id":450,"created_at":"2026-11-23T13:40:00Z","note":"broken","#
                            + #""refund_line_items":[{"quantity":1,"subtotal":195.66,"line_item":{"sku":"A"}}],"#
                            + #""transactions":[{"amount":"209.00","currency":"USD"}]}"#)
                ).first))
        #expect(refund.anonymousID == "shopify:order:450" && refund.properties["total"] == "209.00")
        #expect(refund.properties["products"]?[path: "0.subtotal"] == "195.66")

        let customer = try WebhookFixture.event(
            try #require(
                WebhookFixture.calls(
                    try shopify(
                        "customers/update",
                        #"{"id":706405506930370084,"email":"bob@example.com","first_name":"Bob","last_name":null,"#
                            + #""updated_at":"2026-11-23T13:40:00Z","default_address":{"city":"Ottawa"}}"#)
                ).first))
        #expect(customer.kind == .identify && customer.userID == nil)
        #expect(WebhookFixture.names(customer) == ["shopify:customer:706405506930370084"])
        #expect(customer.traits["email"] == "bob@example.com" && customer.traits["firstName"] == "Bob")
        #expect(customer.traits["address"] == ["city": "Ottawa"] && customer.traits["lastName"] == nil)

        let done = try shopify("checkouts/update", #"{"token":"t","completed_at":"2026-11-23T13:40:00Z"}"#)
        #expect(done.first?.outcome == .ignored(reason: "the order that came of the checkout tells it"))
    }

    @Test("Shopify's privacy topics become requests, or say why not")
    func shopifyPrivacy() throws {
        let body =
            #"{"shop_id":954889,"shop_domain":"shop.myshopify.com","customer":"#
            + #"{"id":191167,"email":"john@example.com","phone":"555-625-1199"},"orders_to_redact":[299938]}"#
        for (topic, kind) in [
            ("customers/redact", PrivacyRequest.Kind.erasure), ("customers/data_request", .access),
        ] {
            guard case .privacyRequest(let request)? = try shopify(topic, body).first?.outcome else {
                Issue.record("\(topic)")
                continue
            }
            #expect(request.kind == kind && request.userID == "shopify:191167")
            #expect(request.email == "john@example.com" && request.requestedAt == WebhookFixture.now)
            #expect(request.externalIDs == [.init(type: "shopify:customer", id: "191167")])
        }
        guard case .ignored? = try shopify("shop/redact", #"{"shop_id":954889}"#).first?.outcome else {
            Issue.record("shop/redact")
            return
        }
        guard case .failed? = try shopify("customers/redact", #"{"shop_id":1,"customer":{}}"#).first?.outcome
        else {
            Issue.record("a request for nobody")
            return
        }
    }

    @Test("HubSpot's creation, change of address, merge and privacy deletion, in either format")
    func hubSpot() throws {
        let items = try WebhookFixture.items(
            "hubspot",
            """
            [{"eventId":1,"subscriptionId":2,"portalId":62515,"occurredAt":1795441490000,"objectId":123,
            "subscriptionType":"contact.creation","attemptNumber":0},
            {"eventId":2,"subscriptionId":3,"portalId":62515,"occurredAt":1795441490001,"objectId":123,
            "subscriptionType":"object.propertyChange","objectTypeId":"0-1","propertyName":"email",
            "propertyValue":"Ada@Example.com","changeSource":"CRM"},
            {"eventId":3,"subscriptionId":4,"portalId":62515,"occurredAt":1795441490002,"objectId":123,
            "subscriptionType":"contact.merge","primaryObjectId":123,"mergedObjectIds":[201,202],"newObjectId":null,
            "numberOfPropertiesMoved":3},
            {"eventId":4,"subscriptionId":5,"portalId":62515,"occurredAt":1795441490003,"objectId":123,
            "subscriptionType":"contact.privacyDeletion","changeFlag":"DELETED"},
            {"eventId":5,"subscriptionId":6,"portalId":62515,"occurredAt":1795441490004,"objectId":77,
            "subscriptionType":"deal.propertyChange","propertyName":"dealstage","propertyValue":"closedwon"},
            {"eventId":6,"subscriptionId":7,"portalId":62515,"occurredAt":1795441490005,"objectId":9,
            "subscriptionType":"company.creation"}]
            """)
        let calls = WebhookFixture.calls(items)
        try #require(calls.map { $0["type"] } == ["identify", "identify", "alias", "alias", "track"])
        #expect(calls[1]["traits"]?["email"] == "Ada@Example.com")
        let names = try calls.map { WebhookFixture.names(try WebhookFixture.event($0)) }
        #expect(names[0] == ["hubspot:contact:123"] && names[1] == ["hubspot:contact:123"])
        #expect(names[2] == ["hubspot:contact:123", "hubspot:contact:201"])
        #expect(names[3] == ["hubspot:contact:123", "hubspot:contact:202"])
        #expect(calls.allSatisfy { $0["userId"] == nil })
        #expect(calls[2]["messageId"] != calls[3]["messageId"])
        #expect(calls[4]["properties"]?["value"] == "closedwon")
        #expect(calls[0]["timestamp"] == "2026-11-23T13:44:50.000Z")
        let erasures = items.filter { if case .privacyRequest = $0.outcome { true } else { false } }
        #expect(erasures.count == 1)
        #expect(
            items.last?.outcome == .ignored(reason: "no rule of the mapping fits its type or what it holds"))
    }

    @Test("where HubSpot makes a new contact of two, both become it, and none becomes itself")
    func hubSpotMerge() throws {
        func merge(_ new: Int) throws -> [MappedItem] {
            try WebhookFixture.items(
                "hubspot",
                #"[{"eventId":3,"portalId":62515,"occurredAt":1795441490002,"subscriptionType":"object.merge","#
                    + #""objectTypeId":"0-1","primaryObjectId":123,"mergedObjectIds":[201],"newObjectId":\#(new)}]"#
            )
        }
        func joined(_ new: Int) throws -> [[String]] {
            try WebhookFixture.calls(try merge(new)).map {
                WebhookFixture.names(try WebhookFixture.event($0))
            }
        }
        #expect(
            try joined(900) == [
                ["hubspot:contact:900", "hubspot:contact:123"],
                ["hubspot:contact:900", "hubspot:contact:201"],
            ])
        #expect(try joined(123) == [["hubspot:contact:123", "hubspot:contact:201"]])
        #expect(try merge(201).map(\.messageID).count == 1)
        #expect(try joined(201) == [["hubspot:contact:201", "hubspot:contact:123"]])
    }

    @Test("HubSpot's second attempt has the messageIds of the first")
    func hubSpotAgain() throws {
        func ids(_ attempt: Int) throws -> [String] {
            try WebhookFixture.items(
                "hubspot",
                #"[{"eventId":1,"portalId":62515,"occurredAt":1795441490000,"objectId":123,"#
                    + #""subscriptionType":"contact.creation","attemptNumber":\#(attempt)}]"#
            ).map(\.messageID)
        }
        #expect(try ids(0) == ids(1))
    }

    @Test("Zendesk's tickets opened, solved and rated")
    func zendesk() throws {
        func body(_ type: String, _ event: String) -> String {
            """
            {"type":"\(type)","account_id":12514403,"id":"2b24ef10","time":"2026-11-23T13:44:00.5Z",
            "zendesk_event_version":"2022-11-06","subject":"zen:ticket:35436","detail":{"id":"35436",
            "created_at":"2026-11-23T13:43:00Z","requester_id":"8447388090494","priority":"HIGH","status":"SOLVED",
            "subject":"Broken kettle","tags":["kettle"],"type":"PROBLEM","via":{"channel":"web_service"},
            "requester_email":"ada@example.com","external_id":"u-1"},"event":\(event)}
            """
        }
        let opened = try WebhookFixture.items("zendesk", body("zen:event-type:ticket.created", "{}"))
        let event = try WebhookFixture.event(try #require(WebhookFixture.calls(opened).first))
        // Of a ticket's event the external id is the ticket's.
        #expect(event.name == "Support Ticket Opened" && event.userID == nil)
        #expect(WebhookFixture.names(event) == ["zendesk:user:8447388090494"])
        #expect(event.properties["priority"] == "high" && event.properties["tags"] == ["kettle"])
        #expect(event.messageID == "zendesk:ticket-opened:ticket.created:2b24ef10")
        let solved = try WebhookFixture.items(
            "zendesk",
            body("zen:event-type:ticket.status_changed", #"{"current":"SOLVED","previous":"OPEN"}"#))
        #expect(WebhookFixture.calls(solved).map { $0["event"] } == ["Support Ticket Solved"])
        #expect(WebhookFixture.calls(solved).first?["timestamp"] == "2026-11-23T13:44:00.500Z")
        let reopened = try WebhookFixture.items(
            "zendesk",
            body("zen:event-type:ticket.status_changed", #"{"current":"OPEN","previous":"SOLVED"}"#))
        #expect(WebhookFixture.calls(reopened).map { $0["event"] } == ["Support Ticket Reopened"])
        let rated = try WebhookFixture.items(
            "zendesk", body("ticket.satisfaction_rated", #"{"rating":"Good","comment":"quick"}"#))
        #expect(WebhookFixture.calls(rated).first?["properties"]?["rating"] == "good")
        #expect(WebhookFixture.calls(rated).first?["userId"] == "u-1")
        for (external, expected) in [(#""u-1""#, "u-1"), (#""""#, nil), ("null", nil)] {
            let user = try WebhookFixture.items(
                "zendesk",
                #"{"type":"zen:event-type:user.created","id":"2b24ef11","time":"2026-11-23T13:44:00Z","detail":"#
                    + #"{"id":"8447388090494","role":"end-user","email":"ada@example.com","#
                    + #""external_id":\#(external)},"event":{}}"#)
            let call = try WebhookFixture.event(try #require(WebhookFixture.calls(user).first))
            #expect(call.userID == expected && call.traits["email"] == "ada@example.com")
            #expect(WebhookFixture.names(call) == ["zendesk:user:8447388090494"])
        }
    }

    @Test("Salesforce's outbound message: a contact and an opportunity")
    func salesforceMessage() throws {
        let items = try WebhookFixture.items(
            "salesforce", SalesforceFixture.message, headers: ["content-type": "text/xml; charset=utf-8"])
        let calls = WebhookFixture.calls(items)
        try #require(calls.count == 2 && items.count == 2)
        let contact = try WebhookFixture.event(calls[0])
        #expect(contact.kind == .identify && contact.userID == nil)
        #expect(WebhookFixture.names(contact) == ["salesforce:contact:003000000000001AAA"])
        #expect(contact.traits["lastName"] == "O'Hara & Söhne" && contact.traits["phone"] == nil)
        #expect(contact.timestamp == Instant(rfc3339: "2026-11-23T13:44:00Z"))
        let opportunity = try WebhookFixture.event(calls[1])
        #expect(
            opportunity.properties["stage"] == "Closed <Won>" && opportunity.properties["amount"] == "1200.50"
        )
        #expect(!calls.description.contains("SESSION"))
    }

    @Test("Salesforce's change event is a record for each id")
    func salesforceChange() throws {
        let calls = WebhookFixture.calls(try WebhookFixture.items("salesforce", SalesforceFixture.change))
        try #require(
            try calls.map { WebhookFixture.names(try WebhookFixture.event($0)) } == [
                ["salesforce:contact:003xx000004TxyY"], ["salesforce:contact:003xx000004TxyZ"],
            ])
        #expect(
            calls[0]["traits"]?["firstName"] == "Ada" && calls[0]["traits"]?["email"] == "ada@example.com")
        #expect(calls[0]["timestamp"] == "2026-11-23T13:44:50.000Z")
    }

    @Test("Stripe's amounts are decimals of their currency")
    func stripe() throws {
        func session(_ amount: String, _ currency: String) throws -> JSON? {
            WebhookFixture.calls(
                try WebhookFixture.items(
                    "stripe",
                    """
                    {"id":"evt_1","object":"event","type":"checkout.session.completed","created":1795441499,
                    "data":{"object":{"id":"cs_1","payment_status":"paid","amount_total":\(amount),
                    "currency":"\(currency)","customer":"cus_1","client_reference_id":"user-7",
                    "customer_details":{"email":"ada@example.com"}}}}
                    """)
            ).first
        }
        let euro = try session("1999", "eur")
        #expect(euro?["properties"]?["total"] == "19.99" && euro?["userId"] == "user-7")
        #expect(euro?["timestamp"] == "2026-11-23T13:44:59.000Z")
        #expect(try session("1999", "jpy")?["properties"]?["total"] == "1999")
        #expect(try session("-5", "kwd")?["properties"]?["total"] == "-0.005")
        #expect(try session("\"a lot\"", "eur") == nil)
    }
}
