import Foundation
import Models
import ServiceKit
import Synchronization

/// Asks the recommendation service what to show in a mail.
final class RecommendationReader: Sendable {
    /// What came of asking.
    struct Answer: Sendable {
        var items: [JSON]
        /// Why there are none, when asking failed.
        var problem: String?

        /// The items by their skus and reasons, for evidence.
        var evidence: JSON {
            [
                "items": .array(items.map { ["sku": $0["sku"] ?? .null, "reason": $0["reason"] ?? .null] }),
                "problem": problem.map(JSON.string) ?? .null,
            ]
        }
    }

    /// A mail waits this long for recommendations, then goes without them.
    static let patience = Duration.milliseconds(500)
    private static let limit = 4

    /// After a failure nobody is asked for this long, or a service that is away would slow every mail down.
    private static let rest = Duration.seconds(2)

    private let http: ServiceHTTPClient
    private let restsUntil = Mutex<ContinuousClock.Instant?>(nil)

    init(http: ServiceHTTPClient) {
        self.http = http
    }

    /// Never throws: a mail without recommendations is better than none.
    func items(for profile: ProfileID, after trigger: JSON?) async -> Answer {
        if let until = restsUntil.withLock({ $0 }), until > .now {
            return Answer(items: [], problem: "the recommendation service did not answer a moment ago")
        }
        var path = "/v1/recommendations?profileId=\(profile)&limit=\(Self.limit)"
        let sku = trigger?["properties"]?["sku"] ?? trigger?["properties"]?["product_id"]
        if let sku = sku?.string,
            let escaped = sku.addingPercentEncoding(withAllowedCharacters: .alphanumerics),
            escaped.utf8.count <= 300, !escaped.isEmpty
        {
            path += "&sku=\(escaped)"
        }
        do {
            let answer = try await http.send(to: .recommendation, path: path, timeout: Self.patience)
            if answer.status >= 500 { takeRest() }
            guard answer.status == 200, let items = answer.json?["items"]?.array else {
                return Answer(items: [], problem: "the recommendation service answered \(answer.status)")
            }
            return Answer(items: items, problem: nil)
        } catch {
            takeRest()
            return Answer(items: [], problem: "the recommendation service did not answer")
        }
    }

    private func takeRest() {
        restsUntil.withLock { $0 = .now + Self.rest }
    }
}
