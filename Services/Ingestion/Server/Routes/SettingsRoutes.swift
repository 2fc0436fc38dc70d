import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// What Segment's browser SDK (analytics-next) fetches before it sends anything: where to, and what else to load, which
/// is nothing.
struct SettingsRoutes: Sendable {
    let directory: SourceDirectory
    /// Where browsers reach ingestion, such as `https://events.shop.example`; the address of the request when not set.
    let publicURL: String?

    func add(to router: ServiceRouter) {
        router.get("/v1/projects/{writeKey}/settings", access: .open) { request in
            try await CrossOrigin.answer {
                let key = WriteKey(try request.path("writeKey"))
                guard try await directory.source(of: key) != nil else {
                    throw Problem.notFound("no source has this write key", type: "unknown-write-key")
                }
                let address = try address(request)
                return .json(
                    Self.settings(key, address), headers: [.cacheControl: "public, max-age=60"])
            }
        }
    }

    private func address(_ request: ServiceRequest) throws(Problem) -> (scheme: String, host: String) {
        if let publicURL, let parts = URLComponents(string: publicURL), let host = parts.host {
            return (parts.scheme ?? "https", host + (parts.port.map { ":\($0)" } ?? "") + parts.path)
        }
        guard let host = request.authority else { throw .badRequest("the request must have a Host") }
        return ("http", host)
    }

    private static func settings(_ key: WriteKey, _ address: (scheme: String, host: String)) -> JSON {
        let enabled: JSON = ["__default": ["enabled": true, "integrations": [:]]]
        return [
            "integrations": [
                "Segment.io": [
                    "apiKey": .string(key.text), "apiHost": .string(address.host + "/v1"),
                    "protocol": .string(address.scheme), "unbundledIntegrations": [],
                    "addBundledMetadata": false, "maybeBundledConfigIds": [:],
                    "versionSettings": ["version": "4.4.7", "componentTypes": ["browser"]],
                    // Measurements of the SDK itself would go to its maker.
                    "metrics": ["sampleRate": 0],
                ]
            ],
            "plan": ["track": enabled, "identify": enabled, "group": enabled],
            "edgeFunction": [:], "analyticsNextEnabled": true, "middlewareSettings": [:],
            "enabledMiddleware": [:], "metrics": ["sampleRate": 0], "legacyVideoPluginsEnabled": false,
            "remotePlugins": [],
        ]
    }
}
