import Crypto
import Foundation
import HTTPTypes
import Models
import ServiceKit

/// Makes and checks what shows that a form is of a page of ours, made not long ago and for the browser that it is about: a page of
/// somebody else's can't have a visitor's browser choose by it, as it doesn't know what the browser is called.
struct ChoiceForm: Sendable {
    enum Action: String, Sendable {
        case choose, request
    }

    /// How long a page may stay open before its form is good for nothing.
    static let lifetime: Duration = .hours(24)

    private let key: SymmetricKey
    private static let codeLength = 16

    init(tokens: ServiceTokens) { key = tokens.derivedKey(for: "choice-forms") }

    func token(for action: Action, of browser: String, at now: Instant) -> String {
        let issued = Self.seconds(now)
        return Data(issued + code(action, browser, issued)).base64URL
    }

    func isGood(_ token: String?, for action: Action, of browser: String, at now: Instant) -> Bool {
        guard let token, token.utf8.count <= 64, let data = Data(base64URL: token), data.base64URL == token,
            data.count == 5 + Self.codeLength
        else { return false }
        let issued = Array(data.prefix(5))
        let expected = code(action, browser, issued)
        // Every byte is looked at, so the time tells nothing of where they differ.
        guard zip(expected, data.suffix(Self.codeLength)).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0 else {
            return false
        }
        let at = Instant(milliseconds: issued.reduce(Int64(0)) { $0 << 8 | Int64($1) } * 1_000)
        return now - at < Self.lifetime
    }

    private func code(_ action: Action, _ browser: String, _ issued: [UInt8]) -> [UInt8] {
        let text = "\(action.rawValue)\n\(browser)\n"
        return Array(
            HMAC<SHA256>.authenticationCode(for: Data(text.utf8) + issued, using: key).prefix(Self.codeLength)
        )
    }

    private static func seconds(_ instant: Instant) -> [UInt8] {
        let seconds = UInt64(max(0, instant.milliseconds / 1_000))
        return (0..<5).reversed().map { UInt8(truncatingIfNeeded: seconds >> (8 * UInt64($0))) }
    }

    /// Refuses what a page of another site has a browser send. Our own pages name no origin, as they send no referrer.
    static func requireOwnPage(_ request: ServiceRequest, pagesURL: String) throws(Problem) {
        if let site = request.header(.fetchSite) {
            guard site == "same-origin" || site == "none" else { throw foreign }
            return
        }
        guard let origin = request.header(.origin), origin != "null" else { return }
        let own = [request.authority, URL(string: pagesURL).flatMap(Self.authority)]
        guard let asked = URL(string: origin).flatMap(Self.authority), own.contains(asked) else {
            throw foreign
        }
    }

    private static func authority(_ url: URL) -> String? {
        url.host().map { host in url.port.map { "\(host):\($0)" } ?? host }
    }

    private static let foreign = Problem.forbidden("the form has to be sent from its own page")
}

extension HTTPField.Name {
    private static func constant(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("a token is a name") }
        return name
    }

    static let fetchSite = constant("Sec-Fetch-Site")
    /// `1` where the browser says that data is not to be sold or shared (Global Privacy Control).
    static let privacyControl = constant("Sec-GPC")
}
