import Crypto
import Foundation
import IngestionDomain
import Logging
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

/// A webhook of a running service.
struct Hooked: Sendable {
    static let secret = "hush-1f6c9c0e-webhook"

    let collecting: Collecting
    let id: String
    var path: String { "/v1/hooks/\(id)" }

    /// Makes a webhook with a mapping in YAML, or the one that is shipped under the name.
    static func with(
        _ mapping: String, settings: [String: String] = [:], _ body: (Hooked) async throws -> Void
    ) async throws {
        let text = mapping.contains("\n") ? mapping : try WebhookFixture.text(mapping)
        try await Collecting.with(settings: settings) { collecting in
            let answer = try await collecting.service.request(
                "POST", "/v1/webhooks",
                json: [
                    "name": "shop", "sourceId": .string(collecting.sourceID.description),
                    "mappingYAML": .string(text), "secrets": [.string(secret)],
                ])
            #expect(answer.status == 201, "\(answer.text)")
            let id = try #require(answer.json["webhookId"]?.string)
            #expect(answer.json["path"]?.string == "/v1/hooks/\(id)")
            try await body(Hooked(collecting: collecting, id: id))
        }
    }

    static func code(_ text: String) -> String {
        Data(
            HMAC<SHA256>.authenticationCode(
                for: Data(text.utf8), using: SymmetricKey(data: Data(secret.utf8)))
        ).base64EncodedString()
    }

    func shopify(_ topic: String, _ body: String, signed: String? = nil) async throws
        -> ServiceHarness.Answer
    {
        try await collecting.service.request(
            "POST", path, body: Array(body.utf8),
            headers: [
                "X-Shopify-Hmac-SHA256": Self.code(signed ?? body), "X-Shopify-Topic": topic,
                "X-Shopify-Shop-Domain": "shop.myshopify.com",
            ], as: .none)
    }

    func rows(_ query: SQL) async throws -> [PostgresRow] {
        let pool = collecting.database.pool(maxConnections: 1)
        let rows = try await pool.query(query)
        await pool.close()
        return rows
    }
}

@Suite(
    "Inbound webhooks", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookTests {
    static let order = """
        {"id":450789469,"updated_at":"2026-11-21T11:59:00Z","processed_at":"2026-11-21T11:58:00Z","currency":"EUR",
        "email":"ada@example.com","financial_status":"paid","total_price":"12.50","cart_token":"c1",
        "customer":{"id":7},"line_items":[{"product_id":1,"sku":"A","quantity":2,"price":"6.25"}]}
        """

    @Test("a signed order of Shopify is one event, however often it is delivered")
    func delivered() async throws {
        try await Hooked.with("shopify") { hooked in
            let first = try await hooked.shopify("orders/paid", Self.order)
            #expect(first.status == 200, "\(first.text)")
            #expect(first.json["received"] == 1)
            #expect(first.json["accepted"] == 1)
            let event = try #require(try await hooked.collecting.stored().first)
            #expect(event.name == "Order Completed")
            #expect(WebhookFixture.names(event) == ["shopify:customer:7"])
            #expect(event.properties["total"] == "12.50")
            #expect(event.sourceID == hooked.collecting.sourceID)

            let second = try await hooked.shopify("orders/paid", Self.order)
            #expect(second.status == 200)
            #expect(second.json["accepted"] == 0)
            #expect(second.json["duplicate"] == 1)
            #expect(try await hooked.collecting.stored().count == 1)
            let account = try await hooked.collecting.reconciliation()
            #expect(account["balanced"] == true)
            #expect(account[path: "items.0.received"] == 2)
            #expect(account[path: "items.0.duplicate"] == 1)
            // Long after Shopify has stopped trying, whoever sends it again is somebody else.
            hooked.collecting.clock.advance(by: .hours(6))
            #expect(try await hooked.shopify("orders/paid", Self.order).status == 401)
        }
    }

    @Test("of many deliveries of one request at the same time one is accepted")
    func atOnce() async throws {
        try await Hooked.with("shopify") { hooked in
            let accepted = try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        let answer = try await hooked.shopify("orders/paid", Self.order)
                        #expect(answer.status == 200, "\(answer.text)")
                        return answer.json["accepted"]?.integer ?? -1
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(accepted == 1)
            let account = try await hooked.collecting.reconciliation()
            #expect(account["balanced"] == true)
            #expect(account[path: "items.0.received"] == 8)
        }
    }

    @Test("an altered byte is a 401, and nothing is stored")
    func altered() async throws {
        try await Hooked.with("shopify") { hooked in
            let altered = Self.order.replacing("12.50", with: "12.51")
            let answer = try await hooked.shopify("orders/paid", altered, signed: Self.order)
            #expect(answer.status == 401)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.json["type"]?.string == Problem.typeBase + "signature-mismatch")
            #expect(try await hooked.collecting.stored().isEmpty)
            #expect(try await hooked.rows("SELECT FROM ingestion.webhook_delivery").isEmpty)
            #expect(try await hooked.rows("SELECT FROM ingestion.reconciliation").isEmpty)
            // The real one is not spoilt by it.
            #expect(try await hooked.shopify("orders/paid", Self.order).json["accepted"] == 1)
        }
    }

    @Test("a request of HubSpot is taken at the address that it was sent to, once; a replay is a 401")
    func hubSpot() async throws {
        let settings = ["MARTLET_INGESTION_PUBLIC_URL": "https://cdp.example.com/"]
        try await Hooked.with("hubspot", settings: settings) { hooked in
            let time = String(noon.milliseconds)
            let body =
                #"[{"eventId":1,"subscriptionId":2,"portalId":3,"occurredAt":\#(noon.milliseconds),"objectId":123,"#
                + #""subscriptionType":"contact.creation","attemptNumber":0}]"#
            let uri = "https://cdp.example.com\(hooked.path)?tag=a"
            func send() async throws -> ServiceHarness.Answer {
                try await hooked.collecting.service.request(
                    "POST", hooked.path + "?tag=a", body: Array(body.utf8),
                    headers: [
                        "X-HubSpot-Signature-v3": Hooked.code("POST" + uri + body + time),
                        "X-HubSpot-Request-Timestamp": time,
                    ], as: .none)
            }
            let first = try await send()
            #expect(first.status == 200, "\(first.text)")
            #expect(first.json["accepted"] == 1)
            let again = try await send()
            #expect(again.status == 401)
            #expect(again.json["type"]?.string == Problem.typeBase + "replayed")
            #expect(try await hooked.collecting.stored().count == 1)
            hooked.collecting.clock.advance(by: .minutes(6))
            #expect(try await send().json["type"]?.string == Problem.typeBase + "stale")
        }
    }

    @Test("what a mapping cannot make anything of is kept in quarantine, and what is passed over is told")
    func failed() async throws {
        let mapping = """
            provider: shopify
            rules:
              - {id: order, when: {type: orders/paid}, track: Order Completed, userId: {path: customer.id},
                 properties: {total: {path: total_price, as: money}}}
              - {id: shop, when: {type: "*"}, ignore: not today}

            """
        try await Hooked.with(mapping) { hooked in
            let body = #"{"id":1,"customer":{"id":7},"total_price":"much"}"#
            let answer = try await hooked.shopify("orders/paid", body)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json["received"] == 1)
            #expect(answer.json["quarantined"] == 1)
            #expect(answer.json["ignored"] == 1)
            #expect(answer.json[path: "items.0.reason"]?.string?.hasPrefix("invalid: rule order: ") == true)
            #expect(answer.json[path: "items.1.reason"] == "not today")
            let kept = try await hooked.collecting.service.request("GET", "/v1/quarantine")
            let id = try #require(kept.json[path: "items.0.quarantineId"]?.string)
            let item = try await hooked.collecting.service.request("GET", "/v1/quarantine/\(id)").json
            let bytes = try #require(item["bytes"]?.string.flatMap { Data(base64Encoded: $0) })
            let record = try JSONParser.parse(Array(bytes))
            #expect(record["rule"] == "order")
            #expect(record[path: "object.total_price"] == "much")
            #expect(try await hooked.collecting.reconciliation()["balanced"] == true)
        }
    }

    @Test("a wish to be forgotten goes to consent once, and to quarantine when nobody is known by it")
    func privacy() async throws {
        try await Hooked.with("shopify") { hooked in
            let person = ProfileID(UUIDv7.derived(at: noon, from: "p"))
            let owner = hooked.collecting.database.pool(maxConnections: 1)
            _ = try await Migrator(schema: "test", migrations: [Self.profiles]).migrate(owner)
            let key = IdentifierKey(secret: ServiceHarness.secret)
            let place = key.place(of: try #require(Identifier(.userID, "shopify:7")))
            try await owner.execute(
                "INSERT INTO profiles.profile VALUES (\(Shard(person)), \(person), \(person))")
            try await owner.execute(
                "INSERT INTO profiles.identifier VALUES (\(place.shard), \(place.kind.rawValue), \(place.hash), \(person))"
            )
            await owner.close()
            for _ in 0..<2 {
                let answer = try await hooked.shopify(
                    "customers/redact", #"{"shop_id":1,"customer":{"id":7,"email":"ada@example.com"}}"#)
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.json["requested"] == 1)
            }
            let calls = try await hooked.collecting.service.outboxBodies()
            #expect(calls.count == 1)
            let body = try #require(calls.first)
            #expect(
                body == [
                    "type": "erasure", "subject": ["profileId": .string(person.description)],
                    "verifiedBy": ["method": "webhook shopify"],
                ])

            // The same customer under an earlier mapping and under this one, before anything has joined the two.
            let other = ProfileID(UUIDv7.derived(at: noon, from: "q"))
            let number = key.place(
                of: Identifier(try #require(Identifier.Kind(rawValue: "shopify:customer")), normalised: "7"))
            let again = hooked.collecting.database.pool(maxConnections: 1)
            try await again.execute(
                "INSERT INTO profiles.profile VALUES (\(Shard(other)), \(other), \(other))")
            try await again.execute(
                "INSERT INTO profiles.identifier VALUES (\(number.shard), \(number.kind.rawValue), \(number.hash), \(other))"
            )
            await again.close()
            let both = try await hooked.shopify(
                "customers/redact", #"{"shop_id":1,"customer":{"id":7},"orders_to_redact":[1]}"#)
            #expect(both.json["requested"] == 2, "\(both.text)")
            let asked = try await hooked.collecting.service.outboxBodies()
                .compactMap { $0[path: "subject.profileId"]?.string }
            #expect(asked.sorted() == [person, person, other].map(\.description).sorted())

            let unknown = try await hooked.shopify(
                "customers/redact", #"{"shop_id":1,"customer":{"id":8,"email":"bob@example.com"}}"#)
            #expect(unknown.json["quarantined"] == 1)
            let kept = try await QuarantineStore.list(
                QuarantineFilter(), after: nil, limit: 10, profiles: hooked.collecting.profiles,
                in: hooked.collecting.service.context.pool)
            let item = String(decoding: try #require(kept.first?.item), as: UTF8.self)
            #expect(item.contains("8") && !item.contains("bob@"))
            let rows = try await hooked.rows("SELECT subjects FROM ingestion.quarantine")
            let subjects = try #require(try rows.first?.get("subjects", as: [String].self))
            let mark = hooked.collecting.profiles.key.mark(of:)
            #expect(subjects.contains(mark("shopify:8")))
            #expect(!subjects.contains(mark("bob@example.com")))
        }
    }

    @Test("a record that fails to map is found by everything that it names somebody by")
    func findable() async throws {
        let mapping = """
            provider: shopify
            rules:
              - id: buy
                when: {type: orders/paid}
                track: Order Completed
                userId: {path: customer.id, prefix: "shopify:"}
                email: {path: email}
                externalIds: [{type: "shopify:customer", path: customer.id}]
                properties: {total: {path: total, as: money}}

            """
        try await Hooked.with(mapping) { hooked in
            let answer = try await hooked.shopify(
                "orders/paid",
                """
                {"id":1,"updated_at":"2026-11-21T11:59:00Z","total":"much","email":"Ada@Example.com",
                "customer":{"id":7},"note":"call Bob <bob@example.com>","shipping":{"phone":"+44 20 7946 0000"},
                "payer":"cus_9s6XKzkNRiz8i3","admin":"gid://shopify/Customer/7"}
                """)
            #expect(answer.json["quarantined"] == 1, "\(answer.text)")
            let kept = try await hooked.rows("SELECT subjects FROM ingestion.quarantine")
            let subjects = Set(try #require(try kept.first?.get("subjects", as: [String].self)))
            // As marks alone, which nobody can read.
            let names = [
                "shopify:7", "shopify:customer:7", "ada@example.com", "bob@example.com", "+442079460000",
                "cus_9s6XKzkNRiz8i3", "gid://shopify/Customer/7",
            ]
            for name in names {
                #expect(subjects.contains(hooked.collecting.profiles.key.mark(of: name)), "\(name)")
                #expect(!subjects.contains(name))
            }
            let pool = hooked.collecting.database.pool(as: .ingestion, maxConnections: 1)
            func erased(_ name: String) async throws -> Int {
                try await pool.transaction {
                    try await QuarantineStore.erase(
                        [name], profiles: hooked.collecting.profiles, in: $0)
                }
            }
            #expect(try await erased("shopify:8") == 0)
            #expect(try await erased("carl@example.com") == 0)
            // As identity knows the payer.
            #expect(try await erased("stripe:cus_9s6XKzkNRiz8i3") == 1)
            #expect(try await erased("ada@example.com") == 0)
            await pool.close()
        }
    }

    private static let profiles = Migration(
        version: 1, name: "profiles",
        sql: """
            CREATE SCHEMA IF NOT EXISTS profiles;
            CREATE TABLE profiles.profile (shard smallint, profile_id uuid, canonical_id uuid);
            CREATE TABLE profiles.identifier (shard smallint, type text, value_hash bytea, profile_id uuid);
            GRANT USAGE ON SCHEMA profiles TO martlet_readers;
            GRANT SELECT ON ALL TABLES IN SCHEMA profiles TO martlet_readers;
            """)

    @Test("secrets lie sealed in the table, and in no answer")
    func secrets() async throws {
        try await Hooked.with("shopify") { hooked in
            let service = hooked.collecting.service
            for path in ["/v1/webhooks", "/v1/webhooks/\(hooked.id)"] {
                let answer = try await service.request("GET", path)
                #expect(answer.status == 200)
                #expect(!answer.text.contains(Hooked.secret))
            }
            let row = try #require(
                try await hooked.rows(
                    "SELECT w::text AS text, encode(secrets, 'escape') AS secrets FROM ingestion.webhook w"
                ).first)
            #expect(try !row.get("text", as: String.self).contains(Hooked.secret))
            #expect(try !row.get("secrets", as: String.self).contains(Hooked.secret))
            // Sealed for this webhook, they open for no other.
            let sealed = try #require(
                try await hooked.rows("SELECT secrets FROM ingestion.webhook").first?.get(
                    "secrets", as: Data.self))
            let vault = WebhookVault(secret: ServiceHarness.secret)
            let own = try #require(WebhookID(hooked.id))
            #expect(try vault.open(sealed, of: own).keys == [Array(Hooked.secret.utf8)])
            #expect(throws: WebhookVaultLocked.self) {
                try vault.open(sealed, of: WebhookID(UUIDv7.derived(at: noon, from: "other")))
            }
            #expect(throws: WebhookVaultLocked.self) { try WebhookVault(secret: "x").open(sealed, of: own) }
        }
    }

    @Test("a mapping with mistakes is refused with all of them, and their lines where it is YAML")
    func mistakes() async throws {
        try await Collecting.with { collecting in
            func create(_ more: [String: JSON]) async throws -> ServiceHarness.Answer {
                let members: [String: JSON] = [
                    "name": "x", "sourceId": .string(collecting.sourceID.description), "secrets": ["s"],
                ]
                return try await collecting.service.request(
                    "POST", "/v1/webhooks", json: .object(members.merging(more) { $1 }))
            }
            let yaml = "provider: shopfy\nrules:\n  - when: {type: x}\n    trak: X\n    userId: 1\n"
            let asYAML = try await create(["mappingYAML": .string(yaml)])
            #expect(asYAML.status == 400)
            #expect(asYAML.json["type"]?.string == Problem.typeBase + "invalid-mapping")
            let errors = try #require(asYAML.json["errors"]?.array)
            #expect(errors.first { $0["path"] == "provider" }?["line"] == 1)
            #expect(errors.first { $0["path"] == "rules.0.trak" }?["line"] == 4)
            #expect(errors.allSatisfy { $0["expected"]?.string != nil && $0["found"]?.string != nil })
            let asJSON = try await create(["mapping": ["provider": "shopfy", "rules": []]])
            #expect(asJSON.status == 400)
            #expect(asJSON.json["errors"]?.array?.count == 2)
            let bomb = try await create(["mappingYAML": "a: &a [x]\nb: [*a, *a]\n"])
            #expect(bomb.status == 400)
            #expect(bomb.json[path: "errors.0.line"] == 1)
            #expect(try await create([:]).status == 400)
            #expect(try await create(["mappingYAML": .string(yaml), "mapping": [:]]).status == 400)
            #expect(try await create(["mapping": [:], "secrets": []]).status == 400)
            #expect(try await create(["mapping": [:], "secrets": [""]]).status == 400)
        }
    }

    @Test("a webhook is changed under its version, and is gone when it is disabled")
    func changes() async throws {
        try await Hooked.with("shopify") { hooked in
            let service = hooked.collecting.service
            let path = "/v1/webhooks/\(hooked.id)"
            #expect(try await service.request("GET", path).headers["etag"] == "\"1\"")
            let renamed = try await service.request(
                "PUT", path, json: ["name": "store", "secrets": ["another"]], headers: ["If-Match": "\"1\""])
            #expect(renamed.status == 200, "\(renamed.text)")
            #expect(renamed.headers["etag"] == "\"2\"")
            #expect(
                try await service.request(
                    "PUT", path, json: ["name": "late"], headers: ["If-Match": "\"1\""]
                ).status == 412)
            // The old secret is good no longer, at once.
            #expect(try await hooked.shopify("orders/paid", Self.order).status == 401)
            #expect(
                try await service.request(
                    "PUT", path, json: ["secrets": [.string(Hooked.secret), "another"]]
                )
                .status == 200)
            #expect(try await hooked.shopify("orders/paid", Self.order).status == 200)
            #expect(try await service.request("DELETE", path).status == 204)
            #expect(try await service.request("DELETE", path).status == 204)
            #expect(try await hooked.shopify("orders/create", Self.order).status == 404)
            #expect(try await service.request("PUT", path, json: ["name": "x"]).status == 409)
            let list = try await service.request("GET", "/v1/webhooks?limit=1").json
            #expect(list[path: "items.0.name"] == "store")
            #expect(list[path: "items.0.disabledAt"]?.string != nil)
        }
    }

    @Test("Salesforce is acknowledged in its own words, with the secret at the end of the address")
    func salesforce() async throws {
        let mapping = """
            provider: salesforce
            authentication: {scheme: salesforce, organizationId: 00D000000000062, in: [path]}
            rules:
              - {id: contact, when: {type: Contact.outbound}, identify: true, userId: {path: Id}, email: {path: Email}}

            """
        try await Hooked.with(mapping) { hooked in
            func send(_ path: String) async throws -> ServiceHarness.Answer {
                try await hooked.collecting.service.request(
                    "POST", path, body: Array(SalesforceFixture.message.utf8),
                    headers: ["Content-Type": "text/xml; charset=utf-8"], as: .none)
            }
            #expect(try await send(hooked.path).status == 401)
            #expect(try await send(hooked.path + "/guess").status == 401)
            for _ in 0..<2 {
                let answer = try await send("\(hooked.path)/\(Hooked.secret)")
                #expect(answer.status == 200, "\(answer.text)")
                #expect(answer.headers["content-type"] == "text/xml; charset=utf-8")
                #expect(answer.body == SalesforceMessage.acknowledgement)
            }
            #expect(try await hooked.collecting.stored().map(\.userID) == ["003000000000001AAA"])
        }
    }

    @Test("CloudEvents come with a bearer token that is the webhook's, after a handshake")
    func cloudEvents() async throws {
        try await Hooked.with("cloudevents") { hooked in
            let service = hooked.collecting.service
            let handshake = try await service.request(
                "OPTIONS", hooked.path, headers: ["WebHook-Request-Origin": "eventgrid.azure.net"], as: .none)
            #expect(handshake.status == 200)
            #expect(handshake.headers["webhook-allowed-origin"] == "eventgrid.azure.net")
            #expect(try await service.request("OPTIONS", hooked.path, as: .none).status == 405)
            let event =
                #"{"specversion":"1.0","id":"1","source":"/shop","type":"com.example.order.completed","#
                + #""time":"2026-11-21T11:44:00Z","subject":"customer-7","#
                + #""data":{"orderId":1,"total":12.5,"currency":"eur","lines":[{"sku":"K"}]}}"#
            func send(_ token: String, _ body: String) async throws -> ServiceHarness.Answer {
                try await service.request(
                    "POST", hooked.path, body: Array(body.utf8),
                    headers: ["Content-Type": "application/cloudevents-batch+json"], as: .bearer(token))
            }
            #expect(try await send("mk_guess", "[\(event)]").status == 401)
            let answer = try await send(Hooked.secret, "[\(event),5]")
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json["accepted"] == 1)
            #expect(answer.json["quarantined"] == 1)
            #expect(try await send(Hooked.secret, "{}").status == 400)
        }
    }

    @Test("what has expired is forgotten, and nothing else")
    func pruning() async throws {
        try await Hooked.with("shopify") { hooked in
            let clock = hooked.collecting.clock
            let answer = try await hooked.shopify("orders/paid", Self.order)
            #expect(answer.status == 200)
            let pool = hooked.collecting.database.pool(as: .ingestion, maxConnections: 1)
            let pruner = WebhookPruner(
                pool: pool, clock: clock.serviceClock, logger: Logger(label: "test"))
            clock.advance(by: .days(29))
            #expect(try await pruner.prune() == 0)
            clock.advance(by: .days(2))
            #expect(try await pruner.prune() == 1)
            await pool.close()
        }
    }

    @Test("the database being away is a 503 with Retry-After, and the same again is taken once it is back")
    func away() async throws {
        try await Hooked.with("shopify") { hooked in
            #expect(try await hooked.shopify("orders/create", Self.order).status == 200)
            let name = hooked.collecting.database.name
            let pool = hooked.collecting.database.pool(maxConnections: 1)
            try await pool.withConnection { connection in
                try await connection.execute(
                    "UPDATE pg_database SET datallowconn = false WHERE datname = \(name)")
                try await connection.execute(
                    """
                    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                    WHERE datname = \(name) AND pid <> pg_backend_pid()
                    """)
                let answer = try await hooked.shopify("orders/paid", Self.order)
                #expect(answer.status == 503, "\(answer.text)")
                #expect(answer.headers["retry-after"] != nil)
                try await connection.execute(
                    "UPDATE pg_database SET datallowconn = true WHERE datname = \(name)")
            }
            await pool.close()
            #expect(try await hooked.shopify("orders/paid", Self.order).json["accepted"] == 1)
        }
    }
}
