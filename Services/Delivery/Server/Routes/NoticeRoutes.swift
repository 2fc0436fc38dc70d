import DeliveryDomain
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/v1/notices`: mails that answer what somebody has just asked for at an address of theirs, such as to confirm that it is
/// theirs. They need no consent, no journey and no profile, so only services may send them.
///
/// Nothing is stored here, but where mails are files which ones are whose: the caller's outbox calls again until the mail server has said yes or no. A mail may so be sent
/// twice, with the same Message-ID.
struct NoticeRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let key: IdentifierKey
    let transport: any MailTransport
    let from: Mailbox
    private let suppressions = SuppressionStore()

    init(
        pool: PostgresPool, clock: ServiceClock, key: IdentifierKey, transport: any MailTransport,
        from: Mailbox
    ) {
        (self.pool, self.clock, self.key, self.transport, self.from) = (pool, clock, key, transport, from)
    }

    func add(to router: ServiceRouter) {
        router.post("/v1/notices", access: .service) { try await send($0) }
    }

    private func send(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 256 << 10))
        let id: MessageID = try fields.id("id")
        let (subject, text, html) = (
            try fields.string("subject"), try fields.string("text"), try fields.string("html")
        )
        let now = try await clock.now()
        guard try fields.instant("expiresAt") > now else { throw Self.gone("it has expired") }
        let address = try fields.string("address")
        guard let to = EmailAddress(address), let addressKey = AddressKey(address, key: key) else {
            throw Self.gone("SMTP can't carry the address")
        }
        // Who unsubscribed from something and asks for it anew is answered; what a bounce, a complaint or an operator has
        // stopped altogether is not.
        let stopped = try await pool.transaction { try await suppressions.find([addressKey], in: $0) }
        if stopped.contains(where: { $0.suppression.purpose == nil }) {
            throw Self.gone("the address is suppressed")
        }
        if transport is FileTransport {
            // Before the file is there: an erasure finds it by this.
            try await NoticeFileStore().note(id, to: addressKey, at: now, in: pool)
        }
        let outcome = await transport.send(
            OutgoingMail(
                mime: MIMEMessage(
                    id: id, date: now, from: from, to: to, subject: subject, text: text, html: html,
                    unsubscribeURL: nil), attempt: 1))
        let verdict = AttemptVerdict.of(outcome, attempt: 1, message: id, now: now)
        switch verdict {
        case .delivered: return .empty()
        case .bounced: throw Self.gone("the mail server refused it for good")
        case .retry, .failed:
            throw Problem.unavailable("the mail server did not take it; try again", retryAfterSeconds: 30)
        }
    }

    /// The caller's outbox is done with it then.
    private static func gone(_ detail: String) -> Problem {
        Problem(
            status: .gone, type: "notice-not-sent", title: "The mail is not sent", detail: "\(detail)")
    }
}
