import Foundation
import IdentityDomain
import Models
import Testing

@testable import IngestionDomain

/// From what a sender sends to who is who, by the mappings and the identity policy that are shipped.
@Suite("Who the people of webhooks are")
struct StitchingTests {
    private static let json = ["content-type": "application/json"]

    /// What becomes of a body, as events that identity reads.
    private func events(
        _ name: String, _ body: String, headers: [String: String] = json
    ) throws -> [TrackingEvent] {
        try WebhookFixture.calls(WebhookFixture.items(name, body, headers: headers)).map(WebhookFixture.event)
    }

    private func visitor(_ user: String, _ email: String) throws -> TrackingEvent {
        try WebhookFixture.event([
            "type": "identify", "messageId": "web", "userId": .string(user),
            "anonymousId": .string("browser of \(user)"), "traits": ["email": .string(email)],
        ])
    }

    private func hubSpot(_ id: Int, _ properties: [String: String] = [:]) throws -> [TrackingEvent] {
        let created = #"{"occurredAt":1795441490000,"objectId":\#(id),"subscriptionType":"contact.creation"}"#
        let changed = properties.sorted { $0.key < $1.key }.map { name, value in
            #"{"occurredAt":1795441490001,"objectId":\#(id),"subscriptionType":"contact.propertyChange","#
                + #""propertyName":"\#(name)","propertyValue":"\#(value)"}"#
        }
        return try events("hubspot", "[" + ([created] + changed).joined(separator: ",") + "]")
    }

    private func merge(_ primary: Int, _ merged: [Int], new: Int? = nil) throws -> [TrackingEvent] {
        try events(
            "hubspot",
            #"[{"occurredAt":1795441490002,"subscriptionType":"contact.merge","primaryObjectId":\#(primary),"#
                + #""mergedObjectIds":\#(merged),"newObjectId":\#(new.map { String($0) } ?? "null")}]"#)
    }

    private func salesforce(_ entity: String, _ id: String, _ fields: String) throws -> [TrackingEvent] {
        try events(
            "salesforce",
            #"{"payload":{"ChangeEventHeader":{"entityName":"\#(entity)","recordIds":["\#(id)"],"#
                + #""changeType":"UPDATE","transactionKey":"t","commitTimestamp":1795441490000},\#(fields)}}"#
        )
    }

    private func zendesk(_ type: String, _ detail: String) throws -> [TrackingEvent] {
        try events(
            "zendesk",
            #"{"type":"zen:event-type:\#(type)","id":"\#(type)","time":"2026-11-23T13:44:00Z","#
                + #""detail":{\#(detail)},"event":{}}"#)
    }

    private func shopify(_ topic: String, _ body: String) throws -> [TrackingEvent] {
        try events("shopify", body, headers: Self.json.merging(["x-shopify-topic": topic]) { $1 })
    }

    private func order(of customer: Int, _ email: String, cart: String) throws -> [TrackingEvent] {
        try shopify(
            "orders/create",
            #"{"id":\#(customer)1,"cart_token":"\#(cart)","created_at":"2026-11-23T08:40:00Z","#
                + #""email":"\#(email)","customer":{"id":\#(customer),"email":"\#(email)"}}"#)
    }

    /// Everybody, by what they are known by.
    private func people(_ events: [TrackingEvent]) throws -> Set<Set<String>> {
        var resolver = Resolver(Resolver.Snapshot(), policy: .standard)
        for (number, event) in events.enumerated() {
            // Deliveries of the tests are alike in what makes a messageId.
            var event = event
            event.messageID = "\(number)"
            try resolver.resolve(event)
        }
        var people: [ProfileID: Set<String>] = [:]
        for (identifier, claim) in resolver.changes.claims {
            people[resolver.root(of: claim.profileID), default: []]
                .insert("\(identifier.kind.rawValue) \(identifier.value)")
        }
        return Set(people.values)
    }

    @Test("CRM, support desk, shop and web site mean one person by one address, in whatever order they tell")
    func one() throws {
        let told: [[TrackingEvent]] = [
            [try visitor("u-1", "ada@example.com")],
            try hubSpot(123, ["email": "Ada@Example.com", "firstname": "Ada"]),
            try zendesk("ticket.created", #""id":"35436","requester_id":"8447""#),
            try zendesk("user.created", #""id":"8447","role":"end-user","email":"ada@example.com""#),
            try salesforce("Lead", "00Q000000000001AAA", #""Email":"ada@example.com""#),
            try salesforce(
                "Lead", "00Q000000000001AAA", #""ConvertedContactId":"003000000000001AAA","IsConverted":true"#
            ),
            try order(of: 115, "ada@example.com", cart: "c1"),
            try shopify("refunds/create", #"{"id":509,"order_id":1151,"created_at":"2026-11-23T13:40:00Z"}"#),
            try events(
                "stripe",
                #"{"id":"evt_1","type":"customer.created","created":1795441499,"data":{"object":"#
                    + #"{"id":"cus_1","email":"ada@example.com"}}}"#),
        ]
        let ada: Set<String> = [
            "userId u-1", "anonymousId browser of u-1", "email ada@example.com", "hubspot:contact 123",
            "zendesk:user 8447", "salesforce:lead 00Q000000000001AAA",
            "salesforce:contact 003000000000001AAA",
            "shopify:customer 115", "anonymousId shopify:cart:c1", "anonymousId shopify:order:1151",
            "stripe:customer cus_1",
        ]
        #expect(try people(told.flatMap { $0 }) == [ada])
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: .min ... .max)
        print("MARTLET_SEED=\(seed)")
        var seeded = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            #expect(try people(told.shuffled(using: &seeded).flatMap { $0 }) == [ada], "seed \(seed)")
        }
    }

    @Test("Zendesk's external id is the shop's own, and joins without any address")
    func externalID() throws {
        let found = try people(
            [try visitor("u-1", "ada@example.com")]
                + zendesk("user.created", #""id":"8447","role":"end-user","external_id":"u-1""#)
                + zendesk("ticket.created", #""id":"1","requester_id":"8447","external_id":"u-2""#))
        #expect(
            found == [
                ["userId u-1", "anonymousId browser of u-1", "email ada@example.com", "zendesk:user 8447"]
            ])
    }

    @Test("two contacts with addresses of their own stay two, whatever office, household or cart they share")
    func two() throws {
        let hubSpot = try people(
            hubSpot(123, ["email": "ada@example.com", "phone": "+44 20 7946 0000"])
                + hubSpot(124, ["email": "bob@example.com", "phone": "+44 20 7946 0000"])
                + hubSpot(123, ["jobtitle": "CTO"]))
        #expect(
            hubSpot == [
                ["hubspot:contact 123", "email ada@example.com"],
                ["hubspot:contact 124", "email bob@example.com"],
            ])
        let salesforce = try people(
            salesforce("Contact", "003000000000001AAA", #""Email":"ada@example.com","Phone":"+442079460000""#)
                + salesforce(
                    "Contact", "003000000000002AAA", #""Email":"bob@example.com","Phone":"+442079460000""#))
        #expect(salesforce.count == 2)
        let zendesk = try people(
            zendesk("user.created", #""id":"1","role":"end-user","email":"ada@example.com""#)
                + zendesk("user.created", #""id":"2","role":"end-user","email":"bob@example.com""#))
        #expect(zendesk.count == 2)
        let shopify = try people(
            order(of: 115, "ada@example.com", cart: "c1") + order(of: 116, "bob@example.com", cart: "c1"))
        #expect(shopify.count == 2)
    }

    @Test("the number 123 is another person in each system")
    func numbers() throws {
        let found = try people(
            hubSpot(123) + zendesk("ticket.created", #""id":"1","requester_id":"123""#)
                + [try visitor("123", "ada@example.com")])
        #expect(found.count == 3)
    }

    @Test("contacts that HubSpot makes one are one, also where each is a customer with an account")
    func merged() throws {
        let apart =
            try [visitor("u-1", "ada@example.com"), visitor("u-2", "bob@example.com")]
            + hubSpot(123, ["email": "ada@example.com"]) + hubSpot(201, ["email": "bob@example.com"])
        #expect(try people(apart).count == 2)
        let together = try people(apart + merge(123, [201]))
        #expect(together.count == 1)
        let anew = try people(apart + merge(123, [201], new: 900) + hubSpot(900))
        #expect(anew.count == 1 && anew.first?.contains("hubspot:contact 900") == true)
    }

    @Test("contacts that came by userIds of their own, under earlier mappings, are merged as well")
    func mergedFromBefore() throws {
        func before(_ id: Int) throws -> TrackingEvent {
            try WebhookFixture.event([
                "type": "identify", "messageId": "before", "userId": .string("hubspot:contact:\(id)"),
                "context": ["externalIds": [["type": "hubspot:contact", "id": .string("\(id)")]]],
            ])
        }
        #expect(try people([before(123), before(201)] + merge(123, [201])).count == 1)
    }

    @Test("somebody of whom an address alone is known is the visitor with that address")
    func addressAlone() throws {
        let mapping = try WebhookMapping(
            json: WebhookFixture.yaml(
                """
                provider: json
                authentication: {scheme: secret}
                envelope: {type: {path: kind}}
                rules: [{when: {type: rated}, track: Rated, email: {path: who}}]
                """))
        func calls(_ who: JSON) -> [MappedItem] {
            mapping.items(
                for: InboundRecord(provider: .json, type: "rated", id: "1", object: ["who": who]),
                receivedAt: WebhookFixture.now)
        }
        let rated = try WebhookFixture.calls(calls("Ada@example.com")).map(WebhookFixture.event)
        #expect(rated.first?.subjectKey == "ada@example.com")
        #expect(try people([visitor("u-1", "ada@example.com")] + rated).count == 1)
        guard case .failed? = calls("").first?.outcome else {
            Issue.record("nobody")
            return
        }
    }
}
