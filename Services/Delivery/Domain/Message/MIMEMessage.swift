package import Models

/// A mail with a text and an HTML part (RFC 5322, 2045–2047, 8058); the same input gives the same bytes.
package struct MIMEMessage: Hashable, Sendable {
    package var id: MessageID
    package var date: Instant
    package var from: Mailbox
    package var to: EmailAddress
    package var subject: String
    package var text: String
    package var html: String
    /// Where a POST ends these mails; nil where there is nothing to unsubscribe from.
    package var unsubscribeURL: String?

    package init(
        id: MessageID, date: Instant, from: Mailbox, to: EmailAddress, subject: String, text: String,
        html: String,
        unsubscribeURL: String?
    ) {
        (self.id, self.date, self.from, self.to) = (id, date, from, to)
        (self.subject, self.text, self.html, self.unsubscribeURL) = (subject, text, html, unsubscribeURL)
    }

    /// The Message-ID: the same at every attempt, so that a receiver can tell a repetition.
    package var messageIDHeader: String { "<\(id)@\(from.address.domain)>" }

    /// “=_” can't occur in quoted-printable text, so no body can contain the boundary.
    private var boundary: String { "=_martlet_\(id)" }

    /// The mail as it is stored in a file, lines ending in CRLF; SMTP's dots are the transport's business.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        func header(_ name: String, _ value: String) { result += "\(name): \(value)\r\n".utf8 }
        header("Date", DateText.format(date, "%a, %d %b %Y %H:%M:%S %z"))
        header(
            "From", from.name.map { HeaderText.phrase($0) + "\r\n <\(from.address)>" } ?? "\(from.address)")
        header("To", "\(to)")
        header("Subject", HeaderText.unstructured(subject, after: 9))
        header("Message-ID", messageIDHeader)
        if let url = unsubscribeURL?.withoutControls {
            header("List-Unsubscribe", "<\(url)>")
            header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
        }
        header("Auto-Submitted", "auto-generated")
        header("MIME-Version", "1.0")
        header("Content-Type", "multipart/alternative;\r\n boundary=\"\(boundary)\"")
        // The simplest form first: readers show the last they can (RFC 2046, 5.1.4).
        for (type, body) in [("text/plain", text), ("text/html", html)] {
            result += "\r\n--\(boundary)\r\n".utf8
            header("Content-Type", "\(type); charset=utf-8")
            header("Content-Transfer-Encoding", "quoted-printable")
            result += "\r\n".utf8
            result += QuotedPrintable.encode(body)
        }
        result += "\r\n--\(boundary)--\r\n".utf8
        return result
    }
}
