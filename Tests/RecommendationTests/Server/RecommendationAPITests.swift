import Foundation
import Models
import Postgres
import RecommendationServer
import ServiceKit
import TestSupport
import Testing

@Suite("Recommending", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct RecommendationAPITests {
    /// Three customers who bought tea with cups, and two who bought tea with milk.
    private func withShop<T>(_ body: (ShopFixture, [ProfileID]) async throws -> T) async throws -> T {
        try await ShopFixture.with { fixture in
            var people: [ProfileID] = []
            for _ in 0..<6 { people.append(try await fixture.makeProfile()) }
            try await fixture.stock(["tea", "cup", "milk", "sofa"])
            try await fixture.append([
                fixture.order("1", ["tea", "cup"], of: people[0]),
                fixture.order("2", ["tea", "cup", "milk"], of: people[1]),
                fixture.order("3", ["tea", "cup"], of: people[2]),
                fixture.order("4", ["tea", "milk"], of: people[3]),
                fixture.order("5", ["sofa"], of: people[4]),
            ])
            try await fixture.drain()
            return try await body(fixture, people)
        }
    }

    @Test("what goes with what they viewed comes first, with a reason, then what is popular")
    func best() async throws {
        try await withShop { fixture, people in
            try await fixture.append([fixture.track("Product Viewed", ["sku": "tea"], of: people[5])])
            try await fixture.drain()
            let items = try await fixture.recommend("profileId=\(people[5])&limit=4")
            #expect(items.compactMap { $0["sku"]?.string } == ["cup", "milk", "tea", "sofa"])
            #expect(items[0]["reason"]?.string == "Bought together with Name of tea by 3 customers")
            #expect(items[0]["evidence"]?["seedOrigin"]?.string == "viewed")
            #expect(items[0]["price"]?.string == "2.50")
            #expect(items[2]["reason"]?.string == "Bought by 4 customers in the last 30 days")
            #expect(try await fixture.skus("strategy=bought-together&sku=tea") == ["cup", "milk"])
            #expect(try await fixture.skus("strategy=popular&limit=2") == ["tea", "cup"])
        }
    }

    @Test("nothing that they have, under any of their profiles, until it is given back")
    func owned() async throws {
        try await withShop { fixture, people in
            #expect(try await fixture.skus("profileId=\(people[0])") == ["milk", "sofa"])
            try await fixture.merge(people[3], into: people[0])
            try await fixture.drain()
            #expect(try await fixture.skus("profileId=\(people[0])") == ["sofa"])
            #expect(try await fixture.skus("profileId=\(people[3])") == ["sofa"])
            try await fixture.append([fixture.track("Order Refunded", ["order_id": "4"], of: people[3])])
            try await fixture.drain()
            #expect(try await fixture.skus("profileId=\(people[0])").contains("milk"))
        }
    }

    @Test("what is known of somebody is not used where consent doesn't permit it, and it is said why")
    func denied() async throws {
        try await withShop { fixture, people in
            try await fixture.append([fixture.track("Product Viewed", ["sku": "tea"], of: people[5])])
            try await fixture.drain()
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by) VALUES (2,
                    '{"purposes": {"profiling": {"name": "Profiling", "legalBasis": "consent", "text": {"version": "1"}}},
                      "requires": {"recommendations": {"*": ["profiling"]}}}', '', now(), 'test')
                """)
            let denied = try await fixture.service.request(
                "GET", "/v1/recommendations?profileId=\(people[5])&limit=2")
            #expect(denied.json["denied"]?["reason"]?.string == "consent-missing")
            #expect(denied.json["denied"]?["policyVersion"]?.integer == 2)
            #expect(denied.json["items"]?.array?.compactMap { $0["sku"]?.string } == ["tea", "cup"])
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
                VALUES (\(Shard(people[5])), \(people[5]), 'profiling', 'granted', now(), gen_random_uuid())
                """)
            let permitted = try await fixture.service.request(
                "GET", "/v1/recommendations?profileId=\(people[5])&limit=2")
            #expect(permitted.json["denied"]?.isNull == true)
            #expect(permitted.json["items"]?.array?.compactMap { $0["sku"]?.string } == ["cup", "milk"])
        }
    }

    @Test("a purpose of some countries permits whoever is there by the trait `country`")
    func jurisdiction() async throws {
        try await withShop { fixture, people in
            try await fixture.owner.execute(
                """
                INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by) VALUES (2,
                    '{"purposes": {"profiling": {"name": "Profiling", "legalBasis": "legitimateInterest",
                                                 "jurisdictions": ["DE"], "text": {"version": "1"}}},
                      "requires": {"recommendations": {"*": ["profiling"]}}}', '', now(), 'test')
                """)
            for (country, reason) in [(nil, "jurisdiction-unknown"), ("de", nil)] as [(String?, String?)] {
                if let country {
                    try await fixture.owner.execute(
                        """
                        INSERT INTO profiles.trait
                            (shard, profile_id, name, value, occurred_at, message_id, source_id)
                        VALUES (\(Shard(people[5])), \(people[5]), 'country', to_jsonb(\(country)::text), now(),
                                'm', gen_random_uuid())
                        """)
                }
                let answer = try await fixture.service.request(
                    "GET", "/v1/recommendations?profileId=\(people[5])&limit=2")
                #expect(answer.json["denied"]?["reason"]?.string == reason)
            }
        }
    }

    @Test("what lies in the cart is not recommended, and what goes with it is")
    func cart() async throws {
        try await withShop { fixture, people in
            try await fixture.append([fixture.track("Product Added", ["sku": "cup"], of: people[5])])
            try await fixture.drain()
            let items = try await fixture.recommend("profileId=\(people[5])&limit=1")
            #expect(items.first?["sku"]?.string == "tea")
            #expect(items.first?["evidence"]?["seedOrigin"]?.string == "cart")
            #expect(try await !fixture.skus("profileId=\(people[5])&limit=50").contains("cup"))
        }
    }

    @Test("out of stock, discontinued and unknown products disappear at once and come back at once")
    func stock() async throws {
        try await withShop { fixture, _ in
            #expect(try await fixture.skus("strategy=bought-together&sku=tea") == ["cup", "milk"])
            try await fixture.stock(["cup"], inStock: false)
            #expect(try await fixture.skus("strategy=bought-together&sku=tea") == ["milk"])
            #expect(try await !fixture.skus("strategy=popular").contains("cup"))
            try await fixture.stock(["cup"])
            #expect(try await fixture.skus("strategy=bought-together&sku=tea") == ["cup", "milk"])
        }
    }

    @Test("new orders are learned from, and a merged customer counts once")
    func learning() async throws {
        try await withShop { fixture, people in
            #expect(try await fixture.skus("strategy=bought-together&sku=sofa").isEmpty)
            try await fixture.append([
                fixture.order("6", ["sofa", "cup"], of: people[4]),
                fixture.order("7", ["sofa", "cup"], of: people[5]),
            ])
            try await fixture.drain()
            let items = try await fixture.recommend("strategy=bought-together&sku=sofa")
            #expect(items.first?["evidence"]?["customers"]?.integer == 2)
            try await fixture.merge(people[5], into: people[4])
            try await fixture.drain()
            fixture.clock.advance(by: .hours(25))
            #expect(try await fixture.skus("strategy=bought-together&sku=sofa").isEmpty)
        }
    }

    @Test("an erased person is in no table and in no count")
    func erasure() async throws {
        try await withShop { fixture, people in
            try await fixture.append([fixture.track("Product Viewed", ["sku": "tea"], of: people[1])])
            try await fixture.append([.erased(profileID: people[1], at: fixture.clock.now)])
            try await fixture.drain()
            for table in ["shop_order", "interest"] {
                let rows = try await fixture.owner.query(
                    "SELECT count(*) AS n FROM recommendation.\(unsafe: table) WHERE profile_id = \(people[1])"
                )
                #expect(try rows.first?.get("n", as: Int.self) == 0)
            }
            let items = try await fixture.recommend("strategy=bought-together&sku=tea")
            #expect(items.map { $0["evidence"]?["customers"]?.integer } == [2])
            let tea = try await fixture.owner.query(
                "SELECT orders FROM recommendation.sku_orders WHERE sku = 'tea'")
            #expect(try tea.first?.get("orders", as: Int.self) == 3)
        }
    }

    @Test("who is told to be erased and is not, after a merge that was undone, keeps everything")
    func erasureOfSomebodyElse() async throws {
        try await withShop { fixture, people in
            func orders() async throws -> Int {
                try await fixture.owner.query(
                    "SELECT FROM recommendation.shop_order WHERE profile_id = \(people[1])"
                ).count
            }
            let before = try await orders()
            #expect(before > 0)
            try await fixture.append(
                [.erased(profileID: people[1], at: fixture.clock.now)], erasing: false)
            try await fixture.drain()
            #expect(try await orders() == before)
        }
    }

    @Test("what a profile did that stands on the shard of another goes with the other's erasure")
    func erasureOfOtherShards() async throws {
        try await withShop { fixture, people in
            let member = try await fixture.makeProfile()
            try await fixture.merge(member, into: people[1])
            try await fixture.append([.erased(profileID: member, at: fixture.clock.now)])
            try await fixture.drain()
            // An instance with other shards was behind.
            try await fixture.append([
                fixture.track("Product Viewed", ["sku": "tea"], of: people[1], arrivedUnder: member),
                fixture.order("o-late", ["tea"], of: people[1]),
                .erased(profileID: people[1], at: fixture.clock.now),
            ])
            try await fixture.drain()
            for table in ["shop_order", "interest"] {
                let rows = try await fixture.owner.query(
                    "SELECT FROM recommendation.\(unsafe: table) WHERE profile_id = ANY(\([member, people[1]])::uuid[])"
                )
                #expect(rows.isEmpty, "\(table)")
            }
        }
    }

    @Test("the catalog takes the good items of a batch and says of each what became of it")
    func catalog() async throws {
        try await ShopFixture.with { fixture in
            let answer = try await fixture.service.request(
                "PUT", "/v1/catalog/items",
                json: [
                    "items": [
                        ["sku": "a", "name": "first"],
                        ["sku": "b", "name": "B", "price": "abc", "currency": "GBP"],
                        ["sku": "a", "name": "second", "categories": ["x, \"y\"", "{z}"]], 7,
                        ["sku": "c d/e", "name": "C"],
                    ]
                ])
            #expect(answer.status == 200)
            #expect(
                answer.json["items"]?.array?.compactMap { $0["status"]?.string }
                    == ["duplicate", "refused", "accepted", "refused", "accepted"])
            #expect(answer.json["received"]?.integer == 5)
            let item = try await fixture.service.request("GET", "/v1/catalog/items/a")
            #expect(item.json["name"]?.string == "second")
            #expect(item.json["categories"] == ["x, \"y\"", "{z}"])
            #expect(try await fixture.service.request("GET", "/v1/catalog/items/c%20d%2Fe").status == 200)
            #expect(try await fixture.service.request("GET", "/v1/catalog/items/none").status == 404)
            let page = try await fixture.service.request("GET", "/v1/catalog/items?limit=1")
            let cursor = try #require(page.json["nextCursor"]?.string)
            let rest = try await fixture.service.request("GET", "/v1/catalog/items?limit=1&cursor=\(cursor)")
            #expect(rest.json["items"]?.array?.first?["sku"]?.string == "c d/e")
            #expect(rest.json["nextCursor"]?.isNull == true)
        }
    }

    @Test("mistakes are answered with what was expected")
    func mistakes() async throws {
        try await ShopFixture.with { fixture in
            let stranger = ProfileID(UUIDv7.make(at: fixture.clock.now))
            let paths: [(String, Int)] = [
                ("limit=0", 400), ("limit=51", 400), ("strategy=magic", 400), ("profileId=7", 400),
                ("profileId=\(stranger)", 404), ("sku=", 400), ("", 200),
            ]
            for (query, status) in paths {
                let answer = try await fixture.service.request("GET", "/v1/recommendations?\(query)")
                #expect(answer.status == status, "\(query)")
            }
            for body: JSON in [
                [:], ["items": []], ["items": 1], ["items": [["sku": "a", "name": "A"]], "x": 1], [],
            ] {
                #expect(
                    try await fixture.service.request("PUT", "/v1/catalog/items", json: body).status == 400)
            }
            let many = JSON.array((0...1_000).map { ["sku": .string("s\($0)"), "name": "N"] })
            #expect(
                try await fixture.service.request("PUT", "/v1/catalog/items", json: ["items": many]).status
                    == 400)
        }
    }

    @Test("the router and openapi/recommendation.yaml know the same routes")
    func drift() async throws {
        try await ShopFixture.with { fixture in
            let drift = try OpenAPIContract.drift(
                file: recommendationService.openAPI, routes: fixture.service.routes)
            #expect(drift.isEmpty, "\(drift)")
        }
    }
}
