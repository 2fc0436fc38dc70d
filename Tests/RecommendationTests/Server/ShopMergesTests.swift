import Models
import Postgres
import TestSupport
import Testing

@testable import RecommendationServer

@Suite(
    "Whose orders they are",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ShopMergesTests {
    private func customers(_ fixture: ShopFixture) async throws -> [String: ProfileID] {
        let rows = try await fixture.owner.query(
            "SELECT order_key, customer_id FROM recommendation.shop_order")
        return Dictionary(
            try rows.map { (try $0.get("order_key"), try $0.get("customer_id")) }, uniquingKeysWith: { $1 })
    }

    @Test("an order that is read after the merge that another shard tells of is the survivor's")
    func late() async throws {
        try await ShopFixture.with { fixture in
            let (ada, bob) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.append([fixture.order("first", ["mug"], of: bob)])
            try await fixture.drain()
            let late = fixture.order("late", ["cup"], of: bob)
            try await fixture.merge(bob, into: ada)
            try await fixture.drain()
            #expect(try await customers(fixture) == ["first": ada])
            // It was told in the shard of the one who was merged, before the merge.
            try await fixture.append([late])
            try await fixture.drain()
            #expect(try await customers(fixture) == ["first": ada, "late": ada])
        }
    }

    @Test(
        "who is one person is asked for under a lock, so what another instance has found out since is not undone"
    )
    func locked() async throws {
        try await ShopFixture.with { fixture in
            let (ada, bob) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.append([fixture.order("first", ["mug"], of: bob)])
            try await fixture.drain()
            try await fixture.merge(bob, into: ada)
            let (held, hold) = AsyncStream.makeStream(of: Void.self)
            async let drained: Void = {
                for await _ in held {}
                try await fixture.drain()
            }()
            try await fixture.owner.transaction { transaction in
                // Another instance is at it, and sees that it was undone.
                try await OrderStore.lockOwners(on: [Shard(bob)], in: transaction)
                hold.finish()
                while !Task.isCancelled,
                    try await fixture.owner.query(
                        """
                        SELECT FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'
                        """
                    ).isEmpty
                { await Task.yield() }
                try await fixture.owner.execute(
                    "UPDATE profiles.profile SET canonical_id = profile_id WHERE profile_id = \(bob)")
            }
            try await drained
            #expect(try await customers(fixture) == ["first": bob])
        }
    }
}
