import Foundation
import Models
import Postgres
import RecommendationDomain

/// A product with the time it was last written.
struct StoredItem: Sendable {
    let item: CatalogItem
    let updatedAt: Instant
}

/// The SQL of the catalog.
enum CatalogStore {
    private static let columns = SQL(
        unsafe: "sku, name, price, currency, url, image_url, categories, in_stock, discontinued, updated_at")

    /// Writes products over what there was, each sku at most once.
    static func put(_ items: [CatalogItem], at now: Instant, in session: some PostgresSession) async throws {
        guard !items.isEmpty else { return }
        try await session.execute(
            """
            INSERT INTO catalog_item AS c (shard, sku, name, price, currency, url, image_url, categories, in_stock,
                discontinued, created_at, updated_at)
            SELECT shard, sku, name, price, currency, url, image_url, categories::text[], in_stock, discontinued,
                \(now)::timestamptz, \(now)::timestamptz
            FROM unnest(\(items.map { Shard(hashing: $0.sku) })::smallint[], \(items.map(\.sku))::text[],
                \(items.map(\.name))::text[], \(items.map(\.price?.amount))::numeric[],
                \(items.map(\.price?.currency))::text[], \(items.map(\.url))::text[],
                \(items.map(\.imageURL))::text[], \(items.map(\.categories.postgresText))::text[],
                \(items.map(\.inStock))::boolean[], \(items.map(\.discontinued))::boolean[])
                AS v(shard, sku, name, price, currency, url, image_url, categories, in_stock, discontinued)
            ORDER BY shard, sku COLLATE "C"
            ON CONFLICT (shard, sku) DO UPDATE
            SET name = excluded.name, price = excluded.price, currency = excluded.currency, url = excluded.url,
                image_url = excluded.image_url, categories = excluded.categories, in_stock = excluded.in_stock,
                discontinued = excluded.discontinued, updated_at = excluded.updated_at
            """)
    }

    static func get(_ sku: String, in session: some PostgresSession) async throws -> StoredItem? {
        try await session.query(
            "SELECT \(columns) FROM catalog_item WHERE shard = \(Shard(hashing: sku)) AND sku = \(sku)"
        ).first.map(stored)
    }

    /// Products by sku.
    static func get(
        _ skus: some Collection<String>, in session: some PostgresSession
    ) async throws -> [String: CatalogItem] {
        guard !skus.isEmpty else { return [:] }
        let rows = try await session.query(
            """
            SELECT c.* FROM unnest(\(skus.map { Shard(hashing: $0) })::smallint[], \(Array(skus))::text[]) AS k(shard, sku)
            JOIN catalog_item c ON c.shard = k.shard AND c.sku = k.sku
            """)
        return try Dictionary(
            rows.map { try stored($0).item }.map { ($0.sku, $0) }, uniquingKeysWith: { first, _ in first })
    }

    static func page(
        after sku: String?, limit: Int, in session: some PostgresSession
    ) async throws -> [StoredItem] {
        try await session.query(
            "SELECT \(columns) FROM catalog_item WHERE sku > \(sku ?? "") ORDER BY sku LIMIT \(Int64(limit))"
        ).map(stored)
    }

    private static func stored(_ row: PostgresRow) throws -> StoredItem {
        var price: Money?
        if let amount = try row.get("price", as: Decimal?.self) {
            price = Money(amount: amount, currency: try row.get("currency"))
        }
        return StoredItem(
            item: CatalogItem(
                sku: try row.get("sku"), name: try row.get("name"), price: price,
                url: try row.get("url", as: String?.self),
                imageURL: try row.get("image_url", as: String?.self),
                categories: try row.get("categories"), inStock: try row.get("in_stock"),
                discontinued: try row.get("discontinued")),
            updatedAt: try row.get("updated_at"))
    }
}
