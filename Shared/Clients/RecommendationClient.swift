import Foundation
package import Models
package import ServiceKit

/// Calls recommendation.
package struct RecommendationClient: Sendable {
    private let http: ServiceHTTPClient

    package init(http: ServiceHTTPClient) { self.http = http }

    /// Items for a profile, best first, each with its reason, in the shape of
    /// `GET /v1/recommendations`' `items`.
    ///
    /// Throws ``RetryLater`` when recommendation is away, ``ClientError`` when it refuses.
    package func items(
        for profile: ProfileID, strategy: String? = nil, limit: Int, timeout: Duration = .seconds(2)
    ) async throws -> [JSON] {
        var path = "/v1/recommendations?profileId=\(profile)&limit=\(limit)"
        if let strategy = strategy?.addingPercentEncoding(withAllowedCharacters: .alphanumerics) {
            path += "&strategy=\(strategy)"
        }
        let answer = try await http.json(to: .recommendation, path: path, timeout: timeout)
        guard answer.status == 200, let items = answer.json?["items"]?.array else {
            throw ClientError(service: .recommendation, status: answer.status, problem: answer.json)
        }
        return items
    }
}
