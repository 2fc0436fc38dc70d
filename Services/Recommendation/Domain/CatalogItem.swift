import FoundationEssentials
package import Models

/// A product that can be shown to people.
package struct CatalogItem: Hashable, Sendable {
    package var sku: String
    package var name: String
    package var price: Money?
    package var url: String?
    package var imageURL: String?
    package var categories: [String]
    package var inStock: Bool
    /// No longer sold; kept because past orders name it.
    package var discontinued: Bool

    package init(
        sku: String, name: String, price: Money? = nil, url: String? = nil, imageURL: String? = nil,
        categories: [String] = [], inStock: Bool = true, discontinued: Bool = false
    ) {
        self.sku = sku
        self.name = name
        self.price = price
        self.url = url
        self.imageURL = imageURL
        self.categories = categories
        self.inStock = inStock
        self.discontinued = discontinued
    }

    package static let skuLimit = 128
    package static let nameLimit = 512
    package static let urlLimit = 2_048
    package static let categoryLimit = 32
    package static let categoryNameLimit = 256

    /// Reads an item of the catalog API; what is left out of `inStock` and `discontinued` is in stock and sold.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        let known: Set = [
            "sku", "name", "price", "currency", "url", "imageUrl", "categories", "inStock", "discontinued",
        ]
        if let unknown = fields.members.keys.filter({ !known.contains($0) }).min() {
            throw DecodingProblem(
                path: fields.path(of: unknown), expected: "no such member",
                message: "\(fields.path(of: unknown)) is not a member of a catalog item")
        }
        sku = try Self.text(fields, "sku", limit: Self.skuLimit)
        // It stands in paths and cursors.
        if sku.utf8.count > 256 || sku.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        {
            throw fields.problem("sku", expected: "at most 256 bytes without control characters")
        }
        name = try Self.text(fields, "name", limit: Self.nameLimit)
        price = try Self.price(fields)
        url = try Self.link(fields, "url")
        imageURL = try Self.link(fields, "imageUrl")
        categories = try Self.categories(fields)
        inStock = fields["inStock"] == nil ? true : try fields.bool("inStock")
        discontinued = fields["discontinued"] == nil ? false : try fields.bool("discontinued")
    }

    package var json: JSON {
        [
            "sku": .string(sku), "name": .string(name),
            "price": price.map { .string($0.amountText) } ?? .null,
            "currency": price.map { .string($0.currency) } ?? .null,
            "url": url.map { .string($0) } ?? .null, "imageUrl": imageURL.map { .string($0) } ?? .null,
            "categories": .array(categories.map { .string($0) }), "inStock": .bool(inStock),
            "discontinued": .bool(discontinued),
        ]
    }

    private static func text(
        _ fields: JSONFields, _ key: String, limit: Int
    ) throws(DecodingProblem) -> String {
        guard let text = fields[key]?.string, (1...limit).contains(text.unicodeScalars.count) else {
            throw fields.problem(key, expected: "a string of 1 to \(limit) characters")
        }
        return text
    }

    private static func price(_ fields: JSONFields) throws(DecodingProblem) -> Money? {
        guard let price = fields["price"] else {
            if fields["currency"] != nil { throw fields.problem("price", expected: "given with a currency") }
            return nil
        }
        guard let amount = price.decimal, !amount.isSignMinus else {
            throw fields.problem("price", expected: "a decimal string of at least 0, such as \"12.50\"")
        }
        guard let currency = fields["currency"]?.string, currency.utf8.count == 3,
            currency.utf8.allSatisfy({ (65...90).contains($0) })
        else { throw fields.problem("currency", expected: "three upper-case letters of ISO 4217") }
        return Money(amount: amount, currency: currency)
    }

    /// A web address; other schemes could run code where the item is shown.
    private static func link(_ fields: JSONFields, _ key: String) throws(DecodingProblem) -> String? {
        guard let value = fields[key] else { return nil }
        guard let text = value.string, text.utf8.count <= urlLimit, isWebAddress(text) else {
            throw fields.problem(key, expected: "an http or https address of at most \(urlLimit) bytes")
        }
        return text
    }

    private static func isWebAddress(_ text: String) -> Bool {
        let lowered = text.prefix(8).lowercased()
        guard lowered.hasPrefix("https://") || lowered.hasPrefix("http://") else { return false }
        let host = text.drop { $0 != "/" }.dropFirst(2)
        guard let first = host.utf8.first, first != UInt8(ascii: "/") else { return false }
        // Spaces, control characters and quotes have to be percent-encoded.
        return text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x22 && $0 != 0x3C && $0 != 0x3E }
    }

    private static func categories(_ fields: JSONFields) throws(DecodingProblem) -> [String] {
        guard let value = fields["categories"] else { return [] }
        let expected = "an array of at most \(categoryLimit) strings of 1 to \(categoryNameLimit) characters"
        guard let elements = value.array, elements.count <= categoryLimit else {
            throw fields.problem("categories", expected: expected)
        }
        var names: [String] = []
        for element in elements {
            guard let name = element.string, (1...categoryNameLimit).contains(name.unicodeScalars.count)
            else {
                throw fields.problem("categories", expected: expected)
            }
            names.append(name)
        }
        return names
    }
}
