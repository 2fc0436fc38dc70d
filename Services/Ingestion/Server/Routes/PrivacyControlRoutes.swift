import HTTPTypes
import Models
import ServiceKit

/// `/.well-known/gpc.json`: says that Global Privacy Control is heeded here.
struct PrivacyControlRoutes: Sendable {
    /// Since when; part of the answer (Global Privacy Control, section 5).
    private static let lastUpdate = "2026-11-28"

    func add(to router: ServiceRouter) {
        router.get("/.well-known/gpc.json", access: .open) { _ in
            .json(
                ["gpc": true, "lastUpdate": .string(Self.lastUpdate)],
                headers: [.cacheControl: "public, max-age=86400", .accessControlAllowOrigin: "*"])
        }
    }
}
