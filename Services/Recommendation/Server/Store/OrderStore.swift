import Models
import Postgres
import RecommendationDomain

/// Where an order is stored.
struct OrderPlace: Hashable, Sendable {
    /// The profile that it arrived under.
    let profileID: ProfileID
    let key: String
}

/// An order with the person it counts for.
struct StoredOrder: Sendable {
    var customerID: ProfileID
    var order: Order
}

/// The SQL of orders and of how many there are of what.
enum OrderStore {
    /// Reads the orders that there are at the places and locks them until the transaction ends.
    static func lock(
        _ places: [OrderPlace], in transaction: PostgresTransaction
    ) async throws -> [OrderPlace: StoredOrder] {
        guard !places.isEmpty else { return [:] }
        let rows = try await transaction.query(
            """
            SELECT o.profile_id, o.order_key, o.customer_id, o.detail
            FROM unnest(\(places.map { Shard($0.profileID) })::smallint[], \(places.map(\.profileID))::uuid[],
                \(places.map(\.key))::text[]) AS k(shard, profile_id, order_key)
            JOIN shop_order o ON o.shard = k.shard AND o.profile_id = k.profile_id AND o.order_key = k.order_key
            ORDER BY o.shard, o.profile_id, o.order_key
            FOR UPDATE OF o
            """)
        return try Dictionary(
            rows.map { row in
                let key: String = try row.get("order_key")
                return (
                    OrderPlace(profileID: try row.get("profile_id"), key: key),
                    StoredOrder(customerID: try row.get("customer_id"), order: try order(row, key: key))
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    private static let ownersClass = Int32(truncatingIfNeeded: StableHash.hash64("recommendation owners"))

    /// Keeps everybody else from saying whose the orders on the shards are until the transaction ends.
    static func lockOwners(on shards: Set<Shard>, in transaction: PostgresTransaction) async throws {
        guard !shards.isEmpty else { return }
        _ = try await transaction.query(
            """
            SELECT count(pg_advisory_xact_lock(\(ownersClass)::int, w.shard::int))
            FROM (SELECT shard FROM unnest(\(shards.sorted())::smallint[]) AS s (shard) ORDER BY shard) w
            """)
    }

    /// Inserts orders that were not there; returns how many were not there indeed.
    static func insert(
        _ orders: [(place: OrderPlace, stored: StoredOrder)], in transaction: PostgresTransaction
    ) async throws -> Int {
        guard !orders.isEmpty else { return 0 }
        return try await transaction.execute(
            """
            INSERT INTO shop_order (shard, profile_id, order_key, customer_id, placed_at, skus, detail)
            SELECT shard, profile_id, order_key, customer_id, placed_at, skus::text[], detail::jsonb
            FROM \(values(orders))
            ON CONFLICT DO NOTHING
            """)
    }

    /// Writes orders that are there.
    static func update(
        _ orders: [(place: OrderPlace, stored: StoredOrder)], in transaction: PostgresTransaction
    ) async throws {
        guard !orders.isEmpty else { return }
        try await transaction.execute(
            """
            UPDATE shop_order o
            SET placed_at = v.placed_at, skus = v.skus::text[], detail = v.detail::jsonb
            FROM \(values(orders))
            WHERE o.shard = v.shard AND o.profile_id = v.profile_id AND o.order_key = v.order_key
            """)
    }

    private static func values(_ orders: [(place: OrderPlace, stored: StoredOrder)]) -> SQL {
        """
        unnest(\(orders.map { Shard($0.place.profileID) })::smallint[], \(orders.map(\.place.profileID))::uuid[],
            \(orders.map(\.place.key))::text[], \(orders.map(\.stored.customerID))::uuid[],
            \(orders.map(\.stored.order.placement?.at))::timestamptz[],
            \(orders.map { $0.stored.order.kept.keys.sorted().postgresText })::text[],
            \(orders.map(\.stored.order.json))::text[])
            AS v(shard, profile_id, order_key, customer_id, placed_at, skus, detail)
        """
    }

    /// The orders of a person's profiles.
    static func orders(of profiles: [ProfileID], in session: some PostgresSession) async throws -> [Order] {
        let rows = try await session.query(
            """
            SELECT o.order_key, o.detail
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            JOIN shop_order o ON o.shard = k.shard AND o.profile_id = k.profile_id
            """)
        return try rows.map { try order($0, key: $0.get("order_key")) }
    }

    /// Counts the orders of each profile for the person that it belongs to now.
    static func assign(_ owners: [ProfileID: ProfileID], in transaction: PostgresTransaction) async throws {
        guard !owners.isEmpty else { return }
        let profiles = Array(owners.keys)
        try await transaction.execute(
            """
            UPDATE shop_order o SET customer_id = k.customer_id
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[],
                \(profiles.map { owners[$0] })::uuid[]) AS k(shard, profile_id, customer_id)
            WHERE o.shard = k.shard AND o.profile_id = k.profile_id AND o.customer_id <> k.customer_id
            """)
    }

    /// Deletes the orders of the profiles and returns what each held.
    static func delete(
        _ profiles: [ProfileID], in transaction: PostgresTransaction
    ) async throws -> [(shard: Shard, skus: [String])] {
        try await transaction.query(
            """
            DELETE FROM shop_order o
            USING unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS k(shard, profile_id)
            WHERE o.shard = k.shard AND o.profile_id = k.profile_id
            RETURNING o.shard, o.skus
            """
        ).map { (try $0.get("shard"), try $0.get("skus")) }
    }

    /// Deletes those that were placed before; returns what was kept of each.
    static func delete(
        before boundary: Instant, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [(shard: Shard, skus: [String])] {
        try await transaction.query(
            """
            DELETE FROM shop_order WHERE (shard, profile_id, order_key) IN (
                SELECT shard, profile_id, order_key FROM shop_order WHERE placed_at < \(boundary)
                ORDER BY placed_at LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
            RETURNING shard, skus
            """
        ).map { (try $0.get("shard"), try $0.get("skus")) }
    }

    /// Moves the counts of orders by sku and in all; in the order of their keys, so that writers never deadlock.
    static func count(_ change: CountChange, in transaction: PostgresTransaction) async throws {
        let skus = change.bySku.filter { $0.value != 0 }
        if !skus.isEmpty {
            let names = Array(skus.keys)
            try await transaction.execute(
                """
                INSERT INTO sku_orders AS s (shard, sku, orders)
                SELECT shard, sku, orders
                FROM unnest(\(names.map { Shard(hashing: $0) })::smallint[], \(names)::text[],
                    \(names.map { skus[$0] ?? 0 })::bigint[]) AS v(shard, sku, orders)
                ORDER BY shard, sku COLLATE "C"
                ON CONFLICT (shard, sku) DO UPDATE SET orders = s.orders + excluded.orders
                """)
        }
        let shards = change.byShard.filter { $0.value != 0 }.sorted { $0.key < $1.key }
        if !shards.isEmpty {
            try await transaction.execute(
                """
                INSERT INTO order_count AS c (shard, orders)
                SELECT shard, orders FROM unnest(\(shards.map(\.key))::smallint[], \(shards.map(\.value))::bigint[])
                    AS v(shard, orders) ORDER BY shard
                ON CONFLICT (shard) DO UPDATE SET orders = c.orders + excluded.orders
                """)
        }
    }

    private static func order(_ row: PostgresRow, key: String) throws -> Order {
        try Order(key: key, json: try row.get("detail", as: JSON.self))
    }
}

/// By how much the counts of orders change.
struct CountChange: Sendable {
    private(set) var bySku: [String: Int] = [:]
    private(set) var byShard: [Shard: Int] = [:]

    /// An order on the shard held `old` and holds `new`.
    mutating func replace(_ old: Set<String>, by new: Set<String>, on shard: Shard) {
        for sku in new.subtracting(old) { bySku[sku, default: 0] += 1 }
        for sku in old.subtracting(new) { bySku[sku, default: 0] -= 1 }
        byShard[shard, default: 0] += (new.isEmpty ? 0 : 1) - (old.isEmpty ? 0 : 1)
    }
}
