import DeliveryDomain
import Logging
import Models
import ServiceKit

/// Delivery's own settings.
struct DeliverySettings: Sendable {
    /// Nil: mails become files.
    var smtp: SMTPSettings?
    var outboxDirectory: String
    /// Where the world reaches this service: what the links in mails begin with.
    var publicURL: String
    var from: Mailbox
    /// How long a mail may take from its commit to its outcome before it counts as abandoned.
    var lease: Duration

    init(_ settings: ServiceSettings, logger: Logger) throws {
        let sender = settings.string("MAIL_FROM")
        guard let from = Mailbox(sender ?? "Martlet <shop@martlet.example>") else {
            throw SettingsError.invalid(
                "MARTLET_MAIL_FROM", expected: "an address, such as Shop <shop@example.com>")
        }
        self.from = from
        lease = try settings.duration("SEND_LEASE", default: .seconds(60))
        publicURL = settings.string("PUBLIC_URL") ?? "http://127.0.0.1:\(ServiceName.delivery.defaultPort)"
        outboxDirectory = settings.string("OUTBOX_DIRECTORY") ?? ".martlet/outbox"
        if let url = settings.string("SMTP_URL") {
            if sender == nil {
                logger.warning("MARTLET_MAIL_FROM is not set; mails come from an address that nobody reads")
            }
            smtp = try SMTPSettings(
                url: url, helloName: from.address.domain,
                connections: try settings.int("SMTP_CONNECTIONS", in: 1...256, default: 16))
        }
    }

    func transport() -> any MailTransport {
        if let smtp { SMTPTransport(smtp) } else { FileTransport(directory: outboxDirectory) }
    }
}
