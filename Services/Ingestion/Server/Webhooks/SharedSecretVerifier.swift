import Foundation
import IngestionDomain
import Models

/// A secret that is sent along with the request. It says who sends and nothing about the body, so whoever holds it can
/// say anything: only for senders that cannot sign, and over TLS alone.
///
/// Such a sender's retry is the same to the byte, so a repetition is acknowledged for a day, and refused later.
struct SharedSecretVerifier: WebhookVerifier {
    static let retryWindow: Duration = .seconds(25 * 3600)
    private static let keep: Duration = .seconds(30 * 86_400)

    private let places: [SecretPlace]

    init(places: [SecretPlace]) { self.places = places }

    func verify(
        _ request: WebhookRequest, secret: WebhookSecret, now: Instant
    ) throws(WebhookRefusal) -> VerifiedWebhook {
        try check(request, secret)
        // Headers of a CloudEvent are part of the event.
        let attributes = request.headers.filter { $0.key.hasPrefix("ce-") }
            .map { "\($0.key): \($0.value)\n" }.sorted().joined()
        return VerifiedWebhook(
            request, scheme: "secret", signed: Array("\(attributes)\n".utf8) + request.body,
            rule: .acknowledge(within: Self.retryWindow), keep: Self.keep)
    }

    /// Refuses a request without the secret in one of its places.
    func check(_ request: WebhookRequest, _ secret: WebhookSecret) throws(WebhookRefusal) {
        guard !secret.keys.isEmpty else { throw .noSecret }
        let given = places.compactMap { Self.given(at: $0, in: request) }
        guard !given.isEmpty else { throw .missingHeader("authorization") }
        var isKnown = false
        for key in secret.keys {
            for candidate in given where Signing.equal(key, candidate) { isKnown = true }
        }
        guard isKnown else { throw .mismatch }
    }

    private static func given(at place: SecretPlace, in request: WebhookRequest) -> [UInt8]? {
        switch place {
        case .bearer: return credentials("bearer", request).map { Array($0.utf8) }
        case .basic:
            return credentials("basic", request).flatMap { Data(base64Encoded: $0) }.map(Array.init)
        case .query:
            guard let mark = request.uri.firstIndex(of: "?") else { return nil }
            let query = request.uri[request.uri.index(after: mark)...].prefix { $0 != "#" }
            for pair in query.split(separator: "&") where pair.hasPrefix("access_token=") {
                return decoded(pair.dropFirst("access_token=".count))
            }
            return nil
        case .path:
            let path = request.uri.prefix { $0 != "?" && $0 != "#" }
            guard let last = path.split(separator: "/", omittingEmptySubsequences: false).last else {
                return nil
            }
            return decoded(last)
        }
    }

    private static func credentials(_ scheme: String, _ request: WebhookRequest) -> String? {
        guard let header = request.header("authorization"), let space = header.firstIndex(of: " "),
            header[..<space].lowercased() == scheme
        else { return nil }
        let credentials = String(header[header.index(after: space)...]).trimmed
        return credentials.isEmpty ? nil : credentials
    }

    private static func decoded(_ text: Substring) -> [UInt8]? {
        let decoded = String(text).removingPercentEncoding ?? String(text)
        return decoded.isEmpty ? nil : Array(decoded.utf8)
    }
}
