/// The names of events.
enum EventNames {
    /// GA4's recommended events, by their exact names.
    static let googleAnalytics: [String: String] = [
        "view_item": "Product Viewed",
        "view_item_list": "Product List Viewed",
        "select_item": "Product Clicked",
        "add_to_cart": "Product Added",
        "remove_from_cart": "Product Removed",
        "view_cart": "Cart Viewed",
        "begin_checkout": "Checkout Started",
        "add_payment_info": "Payment Info Entered",
        // Segment has no event of its own for the way of shipping: it is a property of a step of the checkout.
        "add_shipping_info": "Checkout Step Completed",
        "purchase": "Order Completed",
        "refund": "Order Refunded",
        "add_to_wishlist": "Product Added to Wishlist",
        "search": "Products Searched",
        "sign_up": "Signed Up",
        "login": "Signed In",
        "share": "Product Shared",
        "view_promotion": "Promotion Viewed",
        "select_promotion": "Promotion Clicked",
    ]

    /// Segment's events of shops.
    static let standard = [
        "Products Searched", "Product List Viewed", "Product List Filtered", "Promotion Viewed",
        "Promotion Clicked", "Product Clicked", "Product Viewed", "Product Added", "Product Removed",
        "Cart Viewed", "Checkout Started", "Checkout Step Viewed", "Checkout Step Completed",
        "Payment Info Entered", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled",
        "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed", "Product Added to Wishlist",
        "Product Removed from Wishlist", "Wishlist Product Added to Cart", "Product Shared", "Cart Shared",
        "Product Reviewed",
    ]

    /// Names of the first version of the specification, and of Segment's Google Analytics integration.
    private static let aliases: [String: String] = [
        "Searched Products": "Products Searched",
        "Viewed Product List": "Product List Viewed",
        "Viewed Product Category": "Product List Viewed",
        "Product Category Viewed": "Product List Viewed",
        "Filtered Product List": "Product List Filtered",
        "Viewed Promotion": "Promotion Viewed",
        "Clicked Promotion": "Promotion Clicked",
        "Clicked Product": "Product Clicked",
        "Viewed Product": "Product Viewed",
        "Viewed Product Details": "Product Viewed",
        "Added Product": "Product Added",
        "Removed Product": "Product Removed",
        "Viewed Cart": "Cart Viewed",
        "Started Order": "Checkout Started",
        "Order Started": "Checkout Started",
        "Started Checkout": "Checkout Started",
        "Viewed Checkout Step": "Checkout Step Viewed",
        "Completed Checkout Step": "Checkout Step Completed",
        "Entered Payment Info": "Payment Info Entered",
        "Payment Info Added": "Payment Info Entered",
        "Added Payment Info": "Payment Info Entered",
        "Completed Order": "Order Completed",
        "Updated Order": "Order Updated",
        "Refunded Order": "Order Refunded",
        "Cancelled Order": "Order Cancelled",
        "Entered Coupon": "Coupon Entered",
        "Applied Coupon": "Coupon Applied",
        "Denied Coupon": "Coupon Denied",
        "Removed Coupon": "Coupon Removed",
        "Added Product to Wishlist": "Product Added to Wishlist",
        "Removed Product from Wishlist": "Product Removed from Wishlist",
        "Wishlist Product Removed": "Product Removed from Wishlist",
        "Added to Cart Wishlist Product": "Wishlist Product Added to Cart",
        "Shared Product": "Product Shared",
        "Shared Cart": "Cart Shared",
        "Reviewed Product": "Product Reviewed",
    ]

    private static let standardSet = Set(standard)

    private static let byKey: [String: String] = {
        var names: [String: String] = [:]
        for (alias, name) in aliases { names[key(alias)] = name }
        for name in standard { names[key(name)] = name }
        return names
    }()

    /// The standard name of an event that Segment's integrations would take for it: in any case, and with
    /// underscores or nothing instead of the spaces.
    static func segment(_ name: String) -> String? {
        if standardSet.contains(name) { return name }
        guard name.utf8.count <= 64 else { return nil }
        return byKey[key(name)]
    }

    private static func key(_ name: String) -> String {
        name.lowercased().filter { $0 != " " && $0 != "_" }
    }
}
