package import Models

extension IdentityPolicy {
    /// The policy that Martlet ships, for those who have written none. `identity-policy.yaml` says the same.
    package static let standard = IdentityPolicy(
        types: [
            IdentifierPolicy(kind: .userID, priority: 10, fields: [.userID], steps: [], limit: 1),
            IdentifierPolicy(kind: .shopCustomer, priority: 20, limit: 1),
            IdentifierPolicy(
                kind: .email, priority: 30, fields: [.traits(["email"]), .context(["traits", "email"])],
                shape: .email, steps: [.trim, .nfkc, .lowercase], limit: 5, maxBytes: 254, sharedBy: 20,
                blocked: BlockedValues(patterns: [
                    "*@example.invalid", "test@test.*", "noreply@*", "no-reply@*",
                ])
            ),
            IdentifierPolicy(
                kind: .phone, priority: 40, fields: [.traits(["phone"]), .context(["traits", "phone"])],
                shape: .phone, steps: [.trim, .nfkc], limit: 5, maxBytes: 40, sharedBy: 20),
            IdentifierPolicy(
                kind: .deviceID, priority: 50, fields: [.context(["device", "id"])], steps: [], sharedBy: 20),
            IdentifierPolicy(
                kind: .anonymousID, priority: 60, fields: [.anonymousID], steps: [], sharedBy: 20),
        ],
        others: IdentifierPolicy(kind: .otherSystems, priority: 20, limit: 5),
        blocked: BlockedValues(
            values: [
                "null", "(null)", "nil", "none", "undefined", "nan", "n/a", "na", "unknown", "anonymous",
                "guest",
                "-1", "true", "false", "[object object]",
            ], zeros: true),
        defaultRegion: nil)
}

extension Identifier.Kind {
    /// The id that an app has for the device it runs on.
    package static var deviceID: Identifier.Kind { Identifier.Kind(rawValue: "deviceId") ?? .anonymousID }
    /// The number of somebody's account in a shop at Shopify.
    static var shopCustomer: Identifier.Kind {
        Identifier.Kind(rawValue: "shopify:customer") ?? .otherSystems
    }
    /// Stands in a policy for every id of another system (`system:object`) that has no entry of its own.
    package static var otherSystems: Identifier.Kind {
        Identifier.Kind(rawValue: "other:systems") ?? .anonymousID
    }
}
