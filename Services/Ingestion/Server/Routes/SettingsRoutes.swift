import Foundation
import HTTPTypes
import IngestionDomain
import Models
import ServiceKit

/// What browser SDKs fetch before they send anything: where to, and what else to load, which is nothing. Segment's
/// (analytics-next) asks for the settings of a project, RudderStack's for a `sourceConfig`, when it is loaded with
/// `configUrl` set to ingestion's address.
struct SettingsRoutes: Sendable {
    let directory: SourceDirectory
    /// Where browsers reach ingestion, such as `https://events.shop.example`; the address of the request when not set.
    let publicURL: String?

    func add(to router: ServiceRouter) {
        addSourceConfig(to: router)
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

    private func addSourceConfig(to router: ServiceRouter) {
        router.get("/sourceConfig", access: .open) { request in
            try await CrossOrigin.answer {
                let key =
                    try WriteKey(authorization: request.headers[.authorization])
                    ?? request.query("writeKey").map { WriteKey($0) }
                guard let key, let source = try await directory.source(of: key) else {
                    throw Problem.notFound(
                        "the user of Basic authorization must be a source's write key",
                        type: "unknown-write-key")
                }
                return .json(Self.sourceConfig(source, key), headers: [.cacheControl: "private, max-age=60"])
            }
        }
        router.on(.options, "/sourceConfig", .open) { _ in CrossOrigin.preflight }
    }

    /// No destination is reached from the browser, and nothing of the SDK itself is reported to its maker.
    private static func sourceConfig(_ source: KnownSource, _ key: WriteKey) -> JSON {
        let nothing: JSON = ["enabled": false]
        return [
            "source": [
                "id": .string(source.id.description), "name": .string(source.id.description),
                "writeKey": .string(key.text), "enabled": true, "workspaceId": "martlet", "destinations": [],
                "connections": [], "dataplanes": [:],
                "config": [
                    "statsCollection": [
                        "errors": ["enabled": false, "provider": "rudderstack"], "metrics": nothing,
                    ]
                ],
            ]
        ]
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
