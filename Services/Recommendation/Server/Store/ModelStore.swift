import Models
import Postgres
import RecommendationDomain

/// The SQL of counting what goes together and what is popular, and of keeping the counts.
enum ModelStore {
    /// The kept neighbours of a sku, and in how many orders it is now.
    struct KeptNeighbours: Sendable {
        let orders: Int
        let kept: (computedAt: Instant, orders: Int, neighbours: [Neighbour])?
    }

    static func kept(
        _ skus: [String], in session: some PostgresSession
    ) async throws -> [String: KeptNeighbours] {
        let rows = try await session.query(
            """
            SELECT k.sku, coalesce(o.orders, 0) AS orders_now, n.computed_at, n.orders, n.neighbours
            FROM unnest(\(skus.map { Shard(hashing: $0) })::smallint[], \(skus)::text[]) AS k(shard, sku)
            LEFT JOIN sku_orders o ON o.shard = k.shard AND o.sku = k.sku
            LEFT JOIN neighbour_model n ON n.shard = k.shard AND n.sku = k.sku
            """)
        var found: [String: KeptNeighbours] = [:]
        for row in rows {
            var kept: (Instant, Int, [Neighbour])?
            if let computedAt = try row.get("computed_at", as: Instant?.self) {
                kept = (
                    computedAt, try row.get("orders"),
                    try (row.get("neighbours", as: JSON.self).array ?? []).compactMap(neighbour)
                )
            }
            found[try row.get("sku")] = KeptNeighbours(orders: try row.get("orders_now"), kept: kept)
        }
        return found
    }

    /// Counts what was bought together with each seed in its latest orders; the seed itself is among the counts.
    static func tally(
        _ seeds: [String], in session: some PostgresSession
    ) async throws -> [String: [CoPurchase]] {
        guard !seeds.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT seed, sku, sum(orders)::bigint AS orders, count(*) AS customers
            FROM (
                SELECT k.seed, u.sku, o.customer_id, count(*) AS orders
                FROM unnest(\(seeds)::text[]) AS k(seed)
                CROSS JOIN LATERAL (
                    SELECT customer_id, skus FROM shop_order WHERE skus @> ARRAY[k.seed]
                    ORDER BY placed_at DESC LIMIT \(Int64(BoughtTogether.ordersConsidered))
                ) o
                CROSS JOIN LATERAL unnest(o.skus) AS u(sku)
                GROUP BY k.seed, u.sku, o.customer_id
            ) pairs
            GROUP BY seed, sku
            HAVING count(*) >= \(Int64(BoughtTogether.minimumCustomers)) OR seed = sku
            """)
        var tallies: [String: [CoPurchase]] = [:]
        for row in rows {
            tallies[try row.get("seed"), default: []].append(
                CoPurchase(
                    sku: try row.get("sku"), orders: try row.get("orders"),
                    customers: try row.get("customers")))
        }
        return tallies
    }

    /// In how many orders each sku is.
    static func orders(of skus: [String], in session: some PostgresSession) async throws -> [String: Int] {
        guard !skus.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT o.sku, o.orders
            FROM unnest(\(skus.map { Shard(hashing: $0) })::smallint[], \(skus)::text[]) AS k(shard, sku)
            JOIN sku_orders o ON o.shard = k.shard AND o.sku = k.sku
            """)
        return try Dictionary(
            rows.map { (try $0.get("sku"), try $0.get("orders")) }, uniquingKeysWith: { first, _ in first })
    }

    static func keep(
        _ neighbours: [(sku: String, orders: Int, neighbours: [Neighbour])], at now: Instant,
        in session: some PostgresSession
    ) async throws {
        guard !neighbours.isEmpty else { return }
        try await session.execute(
            """
            INSERT INTO neighbour_model (shard, sku, computed_at, orders, neighbours)
            SELECT shard, sku, \(now)::timestamptz, orders, neighbours::jsonb
            FROM unnest(\(neighbours.map { Shard(hashing: $0.sku) })::smallint[], \(neighbours.map(\.sku))::text[],
                \(neighbours.map(\.orders))::bigint[],
                \(neighbours.map { JSON.array($0.neighbours.map(json)) })::text[]) AS v(shard, sku, orders, neighbours)
            ORDER BY shard, sku COLLATE "C"
            ON CONFLICT (shard, sku) DO UPDATE
            SET computed_at = excluded.computed_at, orders = excluded.orders, neighbours = excluded.neighbours
            """)
    }

    // MARK: Popular products

    /// The kept list, and how many orders there are now.
    static func keptPopular(
        in session: some PostgresSession
    ) async throws -> (ordersNow: Int, kept: (computedAt: Instant, orders: Int, skus: [PopularSku])?) {
        let rows = try await session.query(
            """
            SELECT c.orders AS orders_now, p.computed_at, p.orders, p.skus
            FROM (SELECT coalesce(sum(orders), 0)::bigint AS orders FROM order_count) c
            LEFT JOIN popular_model p ON true
            """)
        guard let row = rows.first else { return (0, nil) }
        let now: Int = try row.get("orders_now")
        guard let computedAt = try row.get("computed_at", as: Instant?.self) else { return (now, nil) }
        let skus = try (row.get("skus", as: JSON.self).array ?? []).compactMap(popular)
        return (now, (computedAt, try row.get("orders"), skus))
    }

    /// Takes the right to count what is popular until the transaction ends; false when another has it.
    static func lockPopular(in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('recommendation.popular', 0)) AS taken"
        ).first?.get("taken") ?? false
    }

    /// Counts what is popular; the same sums as `Popularity.rank`.
    ///
    /// Customers are counted for the best alone and within the recent days alone: telling them apart over the whole
    /// window costs ten times as much as adding up orders.
    static func countPopular(
        now: Instant, limit: Int, in session: some PostgresSession
    ) async throws -> [PopularSku] {
        let window = "\(Popularity.windowDays) days"
        let recent = now - .days(Popularity.recentDays)
        let rows = try await session.query(
            """
            WITH newest AS (
                SELECT placed_at AS at FROM shop_order WHERE placed_at <= \(now) AND skus <> '{}'
                ORDER BY placed_at DESC LIMIT 1
            ), weighted AS (
                SELECT o.skus,
                    power(2::float8, (extract(epoch FROM o.placed_at - n.at) / 86400
                        / \(Int64(Popularity.halfLifeDays)))::float8) AS weight
                FROM newest n JOIN shop_order o
                    ON o.placed_at > n.at - \(window)::interval AND o.placed_at <= n.at
            ), best AS (
                SELECT u.sku, sum(w.weight) AS score, count(*) AS orders
                FROM weighted w CROSS JOIN LATERAL unnest(w.skus) AS u(sku)
                GROUP BY u.sku ORDER BY score DESC, u.sku LIMIT \(Int64(limit))
            ), recent AS (
                SELECT u.sku, count(DISTINCT o.customer_id) AS customers
                FROM shop_order o CROSS JOIN LATERAL unnest(o.skus) AS u(sku)
                WHERE o.placed_at > \(recent) AND o.placed_at <= \(now) GROUP BY u.sku
            )
            SELECT b.sku, b.score, b.orders, coalesce(r.customers, 0) AS recent_customers
            FROM best b LEFT JOIN recent r ON r.sku = b.sku ORDER BY b.score DESC, b.sku
            """)
        return try rows.map { row in
            PopularSku(
                sku: try row.get("sku"), score: try row.get("score"), orders: try row.get("orders"),
                recentCustomers: try row.get("recent_customers"))
        }
    }

    static func keepPopular(
        _ skus: [PopularSku], orders: Int, at now: Instant, in session: some PostgresSession
    ) async throws {
        try await session.execute(
            """
            INSERT INTO popular_model (computed_at, orders, skus)
            VALUES (\(now), \(orders), \(JSON.array(skus.map(json))))
            ON CONFLICT (single) DO UPDATE
            SET computed_at = excluded.computed_at, orders = excluded.orders, skus = excluded.skus
            """)
    }

    // MARK: Stored forms

    private static func json(_ neighbour: Neighbour) -> JSON {
        [.string(neighbour.sku), .integer(Int64(neighbour.customers)), .double(neighbour.score)]
    }

    private static func neighbour(_ json: JSON) -> Neighbour? {
        guard let parts = json.array, parts.count == 3, let sku = parts[0].string,
            let customers = parts[1].integer, let score = parts[2].number
        else { return nil }
        return Neighbour(sku: sku, customers: Int(customers), score: score)
    }

    private static func json(_ popular: PopularSku) -> JSON {
        [
            .string(popular.sku), .double(popular.score), .integer(Int64(popular.orders)),
            .integer(Int64(popular.recentCustomers)),
        ]
    }

    private static func popular(_ json: JSON) -> PopularSku? {
        guard let parts = json.array, parts.count == 4, let sku = parts[0].string,
            let score = parts[1].number,
            let orders = parts[2].integer, let recent = parts[3].integer
        else { return nil }
        return PopularSku(sku: sku, score: score, orders: Int(orders), recentCustomers: Int(recent))
    }
}
