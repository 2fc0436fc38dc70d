import Models

/// The parameters of GA4's events as properties of Segment's.
enum GoogleAnalyticsProperties {
    /// Events that are about one product, whose properties stand at the top in Segment's specification.
    private static let ofOneProduct: Set<String> = [
        "Product Viewed", "Product Clicked", "Product Added", "Product Removed", "Product Added to Wishlist",
        "Product Shared",
    ]

    static func translate(_ properties: [String: JSON], of event: String) -> [String: JSON] {
        var properties = properties
        switch event {
        case "Promotion Viewed", "Promotion Clicked": translatePromotion(&properties)
        case "Products Searched": properties.rename("search_term", "query")
        case "Payment Info Entered": properties.rename("payment_type", "payment_method")
        case "Checkout Step Completed": properties.rename("shipping_tier", "shipping_method")
        case "Product List Viewed", "Product Clicked": properties.rename("item_list_id", "list_id")
        case "Product Shared":
            properties.rename("method", "share_via")
            properties.rename("item_id", "product_id")
        case "Order Completed":
            properties.rename("transaction_id", "order_id")
            // Google: the sum of price × quantity, without shipping and tax. That is Segment's
            // `revenue`; Segment's own integration sends `total` there, which is also what most senders
            // have put in.
            properties.addIfAbsent("revenue", properties["value"])
            properties.rename("value", "total")
        case "Order Refunded":
            properties.rename("transaction_id", "order_id")
            properties.rename("value", "total")
        default: break
        }
        translateItems(&properties)
        if ofOneProduct.contains(event) { lift(&properties) }
        return properties
    }

    private static func translateItems(_ properties: inout [String: JSON]) {
        guard properties["products"] == nil, let items = properties["items"]?.array else { return }
        properties["items"] = nil
        properties["products"] = .array(
            items.map { item in
                guard let members = item.object else { return item }
                return .object(product(members))
            })
    }

    private static func product(_ item: [String: JSON]) -> [String: JSON] {
        var product = item
        product.rename("item_id", "product_id")
        product.rename("item_name", "name")
        product.rename("item_brand", "brand")
        product.rename("item_category", "category")
        product.rename("item_variant", "variant")
        product.rename("index", "position")
        product.addIfAbsent("sku", product["product_id"])
        return product
    }

    /// GA4 allows what belongs to a promotion at its items as well; it is taken from there where they agree.
    private static func translatePromotion(_ properties: inout [String: JSON]) {
        let items = properties["items"]?.array ?? []
        for key in ["promotion_id", "promotion_name", "creative_name", "creative_slot"] {
            let values = Set(items.compactMap { $0[key] })
            if values.count == 1 { properties.addIfAbsent(key, values.first) }
        }
        properties.rename("promotion_name", "name")
        properties.rename("creative_name", "creative")
        properties.rename("creative_slot", "position")
    }

    /// Puts the properties of the only product to the top, and leaves the list out when nothing is lost by it.
    private static func lift(_ properties: inout [String: JSON]) {
        if let products = properties["products"]?.array, products.count == 1, let product = products[0].object
        {
            for (key, value) in product { properties.addIfAbsent(key, value) }
            if product.allSatisfy({ properties[$0.key] == $0.value }) { properties["products"] = nil }
        }
        properties.addIfAbsent("sku", properties["product_id"])
    }
}

/// The properties of the first version of Segment's specification.
enum FirstSpecification {
    static func translate(_ properties: [String: JSON]) -> [String: JSON] {
        var properties = properties
        properties.rename("orderId", "order_id")
        if properties["sku"] != nil { properties.rename("id", "product_id") }
        if let products = properties["products"]?.array {
            properties["products"] = .array(
                products.map { product in
                    guard var members = product.object else { return product }
                    members.rename("id", "product_id")
                    return .object(members)
                })
        }
        return properties
    }
}
