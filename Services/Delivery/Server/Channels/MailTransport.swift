import DeliveryDomain

/// A mail and where it goes.
struct OutgoingMail: Sendable {
    var mime: MIMEMessage
    var attempt: Int
}

/// A way out for mails: an SMTP server, or a folder.
protocol MailTransport: Sendable {
    /// Hands the mail over and waits for the answer; never throws, because every failure is an outcome.
    func send(_ mail: OutgoingMail) async -> SMTPOutcome
}
