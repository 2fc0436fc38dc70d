import Foundation
import Models

/// Makes the source `web` and its write key on first use.
struct FirstSource {
    let api: APIClient
    let installation: InstallationDirectory
    let ingestion: String
    let adminKey: String

    /// The write key that is in the installation's directory.
    func ensure() async throws -> String {
        if let key = installation.read(.writeKey), try await isKnown(key) { return key }
        let made = try await api.send(
            "POST", ingestion + "/v1/sources", as: .bearer(adminKey), json: ["name": "web"])
        guard (200..<300).contains(made.status), let json = made.json else {
            throw CommandProblem("ingestion made no source: \(made.problem)")
        }
        var key = json["writeKey"]?.string
        if key == nil, let id = json["id"]?.string ?? json["sourceId"]?.string {
            let answer = try await api.send(
                "POST", ingestion + "/v1/sources/\(id)/write-keys", as: .bearer(adminKey), json: [:])
            key = answer.json?["writeKey"]?.string ?? answer.json?["key"]?.string
        }
        guard let key else { throw CommandProblem("ingestion's answer holds no write key: \(json.compact)") }
        try installation.write(key, to: .writeKey)
        return key
    }

    /// Whether ingestion takes events under the key: an empty batch appends nothing and tells.
    private func isKnown(_ key: String) async throws -> Bool {
        try await api.send("POST", ingestion + "/v1/batch", as: .writeKey(key), json: ["batch": []]).status
            != 401
    }
}
