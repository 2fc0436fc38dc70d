import CCurl
import Foundation
import ServiceKit

/// Where mails are handed over: `smtp://user:password@host:587?starttls=required`, or `smtps://…`.
struct SMTPSettings: Sendable {
    /// Without user, password and query.
    var url: String
    var user: String?
    var password: String?
    /// One of libcurl's CURLUSESSL_….
    var transportSecurity: Int
    var connectTimeoutMilliseconds = 5_000
    /// The whole conversation; shorter than the lease of a message that is being sent.
    var timeoutMilliseconds = 20_000
    /// Conversations at the same time.
    var connections: Int

    /// `helloName` is what we call ourselves.
    init(url text: String, helloName: String, connections: Int) throws(SettingsError) {
        guard var parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            ["smtp", "smtps"].contains(scheme), let host = parts.host, !host.isEmpty
        else {
            throw .invalid("MARTLET_SMTP_URL", expected: "smtp://host:port or smtps://host:port")
        }
        let starttls = parts.queryItems?.first { $0.name == "starttls" }?.value
        switch starttls ?? "opportunistic" {
        case "required": transportSecurity = Int(CURLUSESSL_ALL.rawValue)
        case "opportunistic": transportSecurity = Int(CURLUSESSL_TRY.rawValue)
        case "never": transportSecurity = Int(CURLUSESSL_NONE.rawValue)
        default: throw .invalid("MARTLET_SMTP_URL", expected: "starttls=required, opportunistic or never")
        }
        (user, password) = (parts.user, parts.password)
        (parts.user, parts.password, parts.queryItems, parts.fragment) = (nil, nil, nil, nil)
        parts.path = "/" + helloName
        self.url = parts.string ?? text
        self.connections = connections
    }
}
