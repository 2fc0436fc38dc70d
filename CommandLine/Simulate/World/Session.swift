import Models

/// Some minutes of a person with a device: the calls that the shop's SDK makes meanwhile.
struct Session: Sendable, Equatable {
    let shopper: Int
    /// When the SDK flushes what it has.
    let end: Instant
    let calls: [JSON]
}

/// Writes the calls of a session as the SDK of the device would.
struct SessionRecorder {
    private let seed: UInt64
    private let device: Int
    private(set) var state: ShopperState
    private(set) var now: Instant
    private(set) var calls: [JSON] = []

    init(seed: UInt64, state: ShopperState, device: Int, at start: Instant) {
        self.seed = seed
        self.state = state
        self.device = device
        now = start
    }

    var session: Session { Session(shopper: state.shopper.number, end: now + .seconds(5), calls: calls) }

    mutating func wait(_ duration: Duration) { now = now + duration }

    mutating func page(_ name: String, path: String) {
        call("page", ["name": .string(name), "properties": ["path": .string(path), "title": .string(name)]])
    }

    mutating func track(_ event: String, _ properties: [String: JSON]) {
        call("track", ["event": .string(event), "properties": .object(properties)])
    }

    /// Logs in; the first time anywhere the shop also asks whether it may write.
    mutating func logIn() {
        guard !state.loggedIn.contains(device) else { return }
        state.logins.append((device, state.used.contains(device)))
        state.loggedIn.insert(device)
        let shopper = state.shopper
        call(
            "identify",
            [
                "traits": [
                    "email": .string(shopper.email), "firstName": .string(shopper.firstName),
                    "lastName": .string(shopper.lastName),
                ]
            ])
        if !state.askedForConsent {
            state.askedForConsent = true
            if shopper.consents {
                wait(.seconds(4))
                track(
                    "Consent Granted", ["purpose": "marketing", "source": "account form", "textVersion": "1"])
            }
        }
    }

    mutating func view(_ product: SimulatedProduct) { track("Product Viewed", product.properties) }

    mutating func add(_ product: SimulatedProduct, quantity: Int64) {
        if state.cart.isEmpty { state.carts += 1 }
        state.cart.append((product, quantity))
        var properties = product.properties
        properties["quantity"] = .integer(quantity)
        properties["cart_id"] = .string(cartID)
        track("Product Added", properties)
    }

    mutating func removeLast() {
        guard let line = state.cart.popLast() else { return }
        var properties = line.product.properties
        properties["quantity"] = .integer(line.quantity)
        properties["cart_id"] = .string(cartID)
        track("Product Removed", properties)
    }

    /// Buys what is in the cart; the shop asks for an account.
    mutating func checkOut() {
        guard !state.cart.isEmpty else { return }
        let order = "\(state.shopper.userID)-\(state.orders.count + 1)"
        let pence = state.cart.reduce(0) { $0 + $1.product.pence * $1.quantity }
        let products = JSON.array(
            state.cart.map { line in
                var properties = line.product.properties
                properties["quantity"] = .integer(line.quantity)
                return .object(properties)
            })
        track("Checkout Started", ["order_id": .string(order), "currency": "GBP", "products": products])
        wait(.seconds(40))
        logIn()
        wait(.seconds(50))
        let total = SimulatedProduct.text(pence: pence)
        track(
            "Order Completed",
            [
                "order_id": .string(order), "cart_id": .string(cartID), "total": .string(total),
                "revenue": .string(total), "currency": "GBP", "products": products,
            ])
        state.orders.append(GroundTruth.Order(orderID: order, total: total, at: now))
        state.cart = []
    }

    private var cartID: String { "\(state.shopper.userID)-cart-\(state.carts)" }

    private mutating func call(_ type: String, _ members: [String: JSON]) {
        let shopper = state.shopper
        let device = shopper.devices[device]
        state.calls += 1
        state.used.insert(self.device)
        var call = members
        call["type"] = .string(type)
        // The time belongs to the id: another run of the same world at another time is other behaviour.
        call["messageId"] = .string("sim-\(seed)-\(shopper.number)-\(state.calls)-\(now.milliseconds)")
        call["anonymousId"] = .string(device.anonymousID)
        if state.loggedIn.contains(self.device) { call["userId"] = .string(shopper.userID) }
        call["timestamp"] = .string(now.rfc3339)
        call["context"] = context(device)
        calls.append(.object(call))
    }

    private func context(_ device: Shopper.Device) -> JSON {
        switch device.kind {
        case .laptop:
            [
                "library": ["name": "analytics.js", "version": "next-1.81.0"], "locale": "en-GB",
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ]
        case .phone, .tablet:
            [
                "library": ["name": "analytics-swift", "version": "1.9.0"], "locale": "en-GB",
                "device": ["type": "ios", "model": .string(device.kind.rawValue)],
                "app": ["name": "Martlet Shop", "version": "4.2.0"],
            ]
        }
    }
}
