import IngestionDomain
import Models

/// Who is who in a simulated world, and what a platform should have made of it.
struct GroundTruth: Sendable {
    /// An order that was placed.
    struct Order: Sendable, Equatable {
        let orderID: String
        let total: String
        let at: Instant
    }

    private let world: World

    init(world: World) { self.world = world }

    /// How many profiles there should be: one per person that ever logged in, and one for each device that
    /// sent anything and was never logged in on.
    var profiles: Int {
        world.states.map { state in
            (state.loggedIn.isEmpty ? 0 : 1) + state.used.subtracting(state.loggedIn).count
        }.reduce(0, +)
    }

    /// A login on a further device merges the profile of what happened there before.
    var merges: Int {
        world.states.map { $0.logins.dropFirst().filter(\.hadHistory).count }.reduce(0, +)
    }

    var orders: [Order] { world.states.flatMap(\.orders) }

    var json: JSON {
        [
            "seed": .string(String(world.seed)), "start": .string(world.start.rfc3339),
            "days": .integer(Int64(world.days)),
            "expected": [
                "profiles": .integer(Int64(profiles)), "merges": .integer(Int64(merges)),
                "orders": .integer(Int64(orders.count)),
                "events": .integer(Int64(world.states.map(\.calls).reduce(0, +))),
                "revenue": .string(
                    orders.reduce(ExactDecimal.zero) { $0 + (ExactDecimal($1.total) ?? .zero) }.text),
            ],
            "persons": .array(world.states.map(person)),
        ]
    }

    private func person(_ state: ShopperState) -> JSON {
        let shopper = state.shopper
        func ids(_ devices: Set<Int>) -> JSON {
            .array(devices.sorted().map { .string(shopper.devices[$0].anonymousID) })
        }
        return [
            "userId": .string(shopper.userID), "email": .string(shopper.email),
            "loggedIn": .bool(!state.loggedIn.isEmpty),
            "consentToMarketing": .bool(state.askedForConsent && shopper.consents),
            "unsubscribed": .bool(state.unsubscribed), "anonymousIds": ids(state.loggedIn),
            "strangerAnonymousIds": ids(state.used.subtracting(state.loggedIn)),
            "orders": .array(
                state.orders.map {
                    [
                        "orderId": .string($0.orderID), "total": .string($0.total),
                        "at": .string($0.at.rfc3339),
                    ]
                }),
            "openCart": .array(state.cart.map { .string($0.product.sku) }),
        ]
    }
}
