import Models
import Postgres
import TestSupport
import Testing

@Suite(
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .serialized, .timeLimit(.minutes(5)))
struct SMTPTests {
    private func with(_ body: (DeliveryFixture, SMTPReceiver) async throws -> Void) async throws {
        let receiver = try SMTPReceiver()
        defer { receiver.stop() }
        try await DeliveryFixture.with(["MARTLET_SMTP_URL": "smtp://127.0.0.1:\(receiver.port)"]) { fixture in
            try await fixture.put()
            try await body(fixture, receiver)
        }
    }

    @Test("mails reach the server whole, over connections that are used again")
    func delivery() async throws {
        try await with { fixture, receiver in
            try await fixture.put(html: "<p>.</p>\n.\n..\n<p>Größe</p>")
            var mails = receiver.mails.makeAsyncIterator()
            for number in 1...20 {
                let jo = try await fixture.makeProfile(email: "jo\(number)@example.org")
                let intent = try await fixture.want(jo)
                let mail = try #require(await mails.next())
                #expect(mail.recipient == "jo\(number)@example.org")
                #expect(mail.sender.contains("<shop@example.com>"))
                #expect(mail.text.contains("\r\n.\r\n..\r\n<p>Gr=C3=B6=C3=9Fe</p>"))
                let message = try await fixture.message(intent, in: "delivered")
                #expect(mail.text.contains("Message-ID: <\(message["messageId"]?.string ?? "")@example.com>"))
                #expect(message["attemptList"]?[path: "0.detail"]?.string?.contains("taken") == true)
            }
            #expect(receiver.connections < 20)
        }
    }

    @Test("a dead address bounces and is suppressed for good")
    func bounce() async throws {
        try await with { fixture, _ in
            let dead = try await fixture.makeProfile(email: "dead@example.org")
            let message = try await fixture.message(try await fixture.want(dead), in: "bounced")
            #expect(message["attemptList"]?[path: "0.detail"]?.string == "recipient: 550 5.1.1 no such user")
            #expect(try await fixture.events("Email Bounced").count == 1)
            let next = try await fixture.message(
                try await fixture.want(dead, purpose: "transactional"), in: "delivered", "suppressed")
            #expect(next["reason"] == "suppressed")
        }
    }

    @Test("a mail that is refused for now is tried again when it is due, by the installation's clock")
    func retry() async throws {
        try await with { fixture, _ in
            let later = try await fixture.makeProfile(email: "later@example.org")
            let intent = try await fixture.want(later)
            let waiting = try await fixture.message(intent, in: "waiting")
            #expect(waiting["attempts"]?.integer == 1)
            let due = try await fixture.owner.query("SELECT due_at FROM delivery.deadline").first?
                .get("due_at", as: Instant.self)
            let wait = try #require(due) - DeliveryFixture.start
            #expect(wait >= .seconds(48) && wait <= .seconds(72))
            fixture.clock.set(try #require(due))
            try await fixture.owner.execute("SELECT pg_notify('platform_clock', '')")
            let delivered = try await fixture.message(intent, in: "delivered")
            #expect(delivered["attempts"]?.integer == 2)
            #expect(delivered["attemptList"]?.array?.count == 2)
        }
    }

    @Test("a connection that the server has closed meanwhile costs no attempt")
    func closedConnection() async throws {
        try await with { fixture, receiver in
            for number in 1...3 {
                let jo = try await fixture.makeProfile(email: "bye\(number)@example.org")
                let message = try await fixture.message(
                    try await fixture.want(jo), in: "delivered", "waiting")
                #expect(message["status"] == "delivered")
                #expect(message["attempts"]?.integer == 1)
            }
            #expect(receiver.connections == 3)
        }
    }

    @Test("a server that isn't there is an obstacle that passes")
    func unreachable() async throws {
        try await DeliveryFixture.with(["MARTLET_SMTP_URL": "smtp://127.0.0.1:9"]) { fixture in
            try await fixture.put()
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let message = try await fixture.message(try await fixture.want(jo), in: "waiting")
            #expect(message["attemptList"]?[path: "0.outcome"] == "retry")
        }
    }
}
