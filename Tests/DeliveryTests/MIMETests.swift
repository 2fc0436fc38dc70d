import DeliveryDomain
import Foundation
import Models
import Testing

@Suite struct MIMETests {
    private let id = MessageID("01931f2a-0000-7000-8000-000000000001")

    private func message(
        subject: String = "Hello", from: String = "Shop <shop@example.com>", text: String = "Hi",
        html: String = "<p>Hi</p>",
        unsubscribe: String? = "https://example.com/t/u/x"
    ) throws -> String {
        let mail = MIMEMessage(
            id: try #require(id), date: Instant(milliseconds: 1_795_228_200_000),
            from: try #require(Mailbox(from)),
            to: try #require(EmailAddress("jo@example.org")), subject: subject, text: text, html: html,
            unsubscribeURL: unsubscribe)
        #expect(mail.bytes == mail.bytes)
        return String(decoding: mail.bytes, as: UTF8.self)
    }

    private func header(_ name: String, of text: String) -> String? {
        let head = text.components(separatedBy: "\r\n\r\n")[0].replacing("\r\n ", with: " ")
        return head.components(separatedBy: "\r\n").first { $0.hasPrefix(name + ": ") }.map {
            String($0.dropFirst(name.count + 2))
        }
    }

    @Test("a mail has the headers that receivers look for, the same at every attempt")
    func headers() throws {
        let text = try message()
        #expect(header("Date", of: text) == "Sat, 21 Nov 2026 02:30:00 +0000")
        #expect(header("From", of: text) == "Shop <shop@example.com>")
        #expect(header("Message-ID", of: text) == "<01931f2a-0000-7000-8000-000000000001@example.com>")
        #expect(header("List-Unsubscribe", of: text) == "<https://example.com/t/u/x>")
        #expect(header("List-Unsubscribe-Post", of: text) == "List-Unsubscribe=One-Click")
        #expect(try header("List-Unsubscribe", of: message(unsubscribe: nil)) == nil)
    }

    @Test("no value can add a header or end the head")
    func injection() throws {
        let text = try message(subject: "Hi\r\nBcc: all@example.com\n\nbody\u{2028}x")
        #expect(header("Bcc", of: text) == nil)
        #expect(header("Subject", of: text) == "Hi Bcc: all@example.com body x")
        #expect(
            Mailbox("Evil\r\nBcc: a@b.example <shop@example.com>").map { $0.name }
                == "Evil\r\nBcc: a@b.example")
        let named = try message(from: "Evil\r\nBcc: a@b.example <shop@example.com>")
        #expect(header("Bcc", of: named) == nil)
        for address in [
            "a@b.example\r\nRCPT TO:<x@y.example>", "a b@example.com", "a@exa mple.com", "<a@b.example>",
            "a@b",
        ] {
            #expect(EmailAddress(address) == nil, "\(address)")
        }
    }

    @Test("lines are short, end in CRLF, and hold ASCII alone")
    func lines() throws {
        let long = String(
            repeating: "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ", count: 40)
        let text = try message(
            subject: long, from: "Größe & Söhne, Übergrößen <shop@example.com>", text: long + " \n.\nx",
            html: long)
        #expect(!text.replacing("\r\n", with: "").contains { $0 == "\n" || $0 == "\r" || $0 == "\r\n" })
        for line in text.components(separatedBy: "\r\n") {
            #expect(line.utf8.count <= 76)
            #expect(line.utf8.allSatisfy { (32...126).contains($0) })
        }
        #expect(text.contains("=?UTF-8?B?"))
    }

    @Test("Python's parser reads back what was put in", .enabled(if: MIMETests.python != nil))
    func roundTrip() throws {
        let subject = "Dein Warenkorb 🛒 wartet – 20 % für Jürgen “heute”, =?UTF-8?B?nicht kodiert?="
        let body = "Grüße = 50%\n.\n..\nFrom me\n trailing \n\t\nlast=\n" + String(repeating: "x", count: 200)
        let text = try message(
            subject: subject, from: "Müller \"&\" Söhne <shop@example.com>", text: body,
            html: "<p>\(body)</p>")
        let script = """
            import sys, email, email.policy
            m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTP)
            out = [m['subject'], m['from'].addresses[0].display_name, m.get_body(('plain',)).get_content(),
                   m.get_body(('html',)).get_content(), str(len(m.defects)), m.get_content_type()]
            sys.stdout.write('\\0'.join(out))
            """
        let output = try run(script, input: text)
        let parts = output.components(separatedBy: "\0")
        try #require(parts.count == 6)
        #expect(parts[0] == subject)
        #expect(parts[1] == "Müller \"&\" Söhne")
        #expect(
            parts[2].replacing("\r\n", with: "\n") == body + "\n"
                || parts[2].replacing("\r\n", with: "\n") == body)
        #expect(parts[3].contains("Grüße = 50%"))
        #expect(parts[4] == "0")
        #expect(parts[5] == "multipart/alternative")
    }

    static let python: String? = ["/usr/bin/python3", "/usr/local/bin/python3"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    private func run(_ script: String, input: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try #require(Self.python))
        process.arguments = ["-c", script]
        let (stdin, stdout) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (stdin, stdout)
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let data = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    @Test("addresses that SMTP can carry are told from those that it can't")
    func addresses() {
        for good in ["jo@example.com", "o'hara+x@a-b.example.co.uk", " jo@Example.COM ", "1@2.example"] {
            #expect(EmailAddress(good) != nil, "\(good)")
        }
        #expect(EmailAddress("Jo@EXAMPLE.com")?.description == "Jo@example.com")
        for bad in [
            "", "@example.com", "jo@", "jo@example", "jo..x@example.com", ".jo@example.com", "jo@-x.example",
            "jo@127.0.0.1", "\"jo\"@example.com", "jö@example.com", "jo@exämple.com", "a@b@c.example",
            String(repeating: "x", count: 65) + "@example.com",
        ] {
            #expect(EmailAddress(bad) == nil, "\(bad)")
        }
    }
}
