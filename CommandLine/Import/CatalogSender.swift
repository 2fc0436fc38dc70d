import Models

/// Puts the items of a catalog into the recommendation service.
struct CatalogSender: Sendable {
    let api: APIClient
    let url: String
    let apiKey: String
    let waiting: @Sendable (String) -> Void

    /// Puts everything, in portions; returns how many were taken, and why others were not.
    func send(_ items: [JSON]) async throws -> (accepted: Int, refused: [String]) {
        var accepted = 0
        var refused: [String] = []
        var rest = items[...]
        while !rest.isEmpty {
            let portion = rest.prefix(500)
            rest = rest.dropFirst(500)
            let body = JSON.object(["items": .array(Array(portion))])
            let answer = try await api.sendUntilAnswered(
                "PUT", url + "/v1/catalog/items", as: .bearer(apiKey), body: Array(body.compact.utf8),
                waiting: waiting)
            guard answer.status == 200, let verdicts = answer.json?["items"]?.array else {
                throw CommandProblem("the catalog was refused: \(answer.problem)")
            }
            for verdict in verdicts {
                if verdict["status"]?.string == "refused" {
                    refused.append(
                        "\(verdict["sku"]?.string ?? "?"): \(verdict["reason"]?.string ?? "refused without a reason")"
                    )
                } else {
                    accepted += 1
                }
            }
        }
        return (accepted, refused)
    }
}
