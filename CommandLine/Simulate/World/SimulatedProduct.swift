import IngestionDomain
import Models

/// What the simulated shop sells.
struct SimulatedProduct: Sendable {
    let sku: String
    let name: String
    let category: String
    /// In pence, so that sums are exact.
    let pence: Int64

    /// 48 products in 6 categories, always the same.
    static let catalog: [SimulatedProduct] = {
        let categories: [(String, [String], Int64)] = [
            (
                "Kitchen",
                ["Teapot", "Milk Jug", "Cake Stand", "Egg Cup", "Tea Towel", "Bread Bin", "Whisk", "Apron"],
                895
            ),
            (
                "Garden",
                [
                    "Bird Feeder", "Watering Can", "Lantern", "Plant Pot", "Trowel", "Wind Chime", "Seed Box",
                    "Gloves",
                ], 1250
            ),
            (
                "Stationery",
                [
                    "Notebook", "Fountain Pen", "Ink Pot", "Letter Set", "Wax Seal", "Pencil Case", "Ruler",
                    "Diary",
                ], 650
            ),
            (
                "Toys",
                ["Kite", "Wooden Train", "Yo-Yo", "Puzzle", "Spinning Top", "Marbles", "Rag Doll", "Drum"],
                1495
            ),
            (
                "Bath",
                [
                    "Soap Dish", "Towel Set", "Bath Salts", "Mirror", "Sponge", "Toothbrush Mug", "Robe",
                    "Candle",
                ], 1100
            ),
            (
                "Travel",
                [
                    "Hip Flask", "Picnic Rug", "Luggage Tag", "Thermos", "Map Case", "Umbrella", "Satchel",
                    "Compass",
                ], 2350
            ),
        ]
        return categories.enumerated().flatMap { row, category in
            category.1.enumerated().map { column, name in
                SimulatedProduct(
                    sku: "MS-\(row + 1)0\(column + 1)", name: name, category: category.0,
                    pence: category.2 + Int64(column) * 175)
            }
        }
    }()

    var price: String { Self.text(pence: pence) }
    var url: String { "https://shop.martlet.example/p/\(sku)" }

    static func text(pence: Int64) -> String { ExactDecimal(digits: Int128(pence), scale: 2).text }

    /// The members that every event about a product has.
    var properties: [String: JSON] {
        [
            "product_id": .string(sku), "sku": .string(sku), "name": .string(name),
            "category": .string(category),
            "price": .string(price), "currency": "GBP", "url": .string(url),
            "image_url": .string("https://shop.martlet.example/i/\(sku).jpg"),
        ]
    }

    /// The item in the recommendation service's catalog.
    var item: JSON {
        [
            "sku": .string(sku), "name": .string(name), "price": .string(price), "currency": "GBP",
            "url": .string(url), "imageUrl": .string("https://shop.martlet.example/i/\(sku).jpg"),
            "categories": [.string(category)],
        ]
    }
}
