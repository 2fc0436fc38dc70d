import Models

/// What a person has done so far, which decides what comes next.
struct ShopperState: Sendable {
    let shopper: Shopper
    /// Devices on which the person has logged in.
    var loggedIn: Set<Int> = []
    /// Devices in the order of their logins, and whether there was behaviour on them before.
    var logins: [(device: Int, hadHistory: Bool)] = []
    /// Devices that sent anything.
    var used: Set<Int> = []
    var cart: [(product: SimulatedProduct, quantity: Int64)] = []
    var carts = 0
    var orders: [GroundTruth.Order] = []
    var askedForConsent = false
    var unsubscribed = false
    var mails = 0
    var calls = 0

    init(shopper: Shopper) { self.shopper = shopper }
}
