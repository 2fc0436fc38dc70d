import ConsentDomain
import Crypto
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// Takes forms that anybody sends with an address, within limits, and has a mail sent by whose link they are confirmed. Nobody
/// is looked up, so what comes of a form is the same for whoever the address is of.
struct MailedForms: Sendable {
    let profiles: ProfileStore
    let outbox: Outbox
    /// Where the world reaches the pages, without a slash behind.
    let pagesURL: String

    /// How long a link in a mail is good.
    static let lifetime: Duration = .hours(48)

    struct Notice: Sendable {
        let subject: String
        let text: String
        let html: HTML
    }

    /// Keeps what was asked for until it is confirmed, and has the mail sent; false where too much came from the network. Where too
    /// many mails went to the address there is none, and nothing says so.
    func ask(
        _ address: Identifier, by form: String, _ detail: JSON, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction, _ notice: (_ token: String) -> Notice
    ) async throws -> Bool {
        guard var new = try await take(address, by: form, on: occasion, in: transaction) else { return false }
        let mails = try await OptInStore.mails(
            to: new.addressHash, since: occasion.now - OptInLimit.addressWindow, in: transaction)
        if OptInLimit.mayMail(after: mails) {
            let secret = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
            new.digest = Self.digest(secret)
            new.detail = try await profiles.vault.days.key(at: occasion.now).seal(
                detail.compact, at: OptInStore.place(of: new.id))
            let token = (withUnsafeBytes(of: new.id.uuid.uuid) { Data($0) } + secret).base64URL
            try await send(
                notice(token), to: address, until: new.expiresAt, at: occasion.now, in: transaction)
        }
        try await keep(new, in: transaction)
        return true
    }

    /// Counts a form that no mail is sent for; false where too much came from the network.
    func count(
        _ identifier: Identifier, by form: String, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        guard let new = try await take(identifier, by: form, on: occasion, in: transaction) else {
            return false
        }
        try await keep(new, in: transaction)
        return true
    }

    private func take(
        _ identifier: Identifier, by form: String, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction
    ) async throws -> OptInStore.New? {
        let now = occasion.now
        let network = Data(
            profiles.key.mark(of: "opt-in network \(occasion.origin.address ?? "unknown")").utf8)
        let source = Data(
            profiles.key.mark(of: "opt-in source \(occasion.origin.household ?? "unknown")").utf8)
        let forms = try await OptInStore.forms(
            from: source, of: network, since: now - OptInLimit.networkWindow, in: transaction)
        guard OptInLimit.mayAsk(after: forms) else { return nil }
        return OptInStore.New(
            id: OptInID(UUIDv7.make(at: now)), addressHash: profiles.key.place(of: identifier).hash,
            networkHash: network, sourceHash: source, form: form, requestedAt: now,
            expiresAt: now + Self.lifetime)
    }

    private func keep(_ new: OptInStore.New, in transaction: PostgresTransaction) async throws {
        try await OptInStore.create(new, in: transaction)
        try await DeadlineSweeper.notify(schema: ServiceName.consent.schema, in: transaction)
    }

    private func send(
        _ notice: Notice, to address: Identifier, until expiresAt: Instant, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        try await outbox.enqueue(
            target: .delivery, path: "/v1/notices",
            body: [
                "id": .string(UUIDv7.make(at: now).hyphenated), "address": .string(address.value),
                "subject": .string(notice.subject), "text": .string(notice.text),
                "html": .string(notice.html.text), "expiresAt": .string(expiresAt.rfc3339),
            ], in: transaction, at: now)
    }

    /// What a token is of; nil where it is wrong, has expired, or was used.
    func asked(
        _ token: String, at now: Instant, locking: Bool, in session: some PostgresSession
    ) async throws -> (id: OptInID, detail: JSON)? {
        guard token.utf8.count == 64, let data = Data(base64URL: token), data.count == 48,
            data.base64URL == token
        else { return nil }
        let id = OptInID(
            UUID(uuid: data.prefix(16).withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }))
        guard var waiting = try await OptInStore.waiting(id, locking: locking, in: session),
            waiting.token.accepts(Self.digest(Array(data.dropFirst(16))), at: now),
            let detail = try await profiles.vault.days.open(waiting.detail, at: OptInStore.place(of: id))
        else { return nil }
        return (id, try JSONParser.parse(detail))
    }

    private static func digest(_ secret: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: Data(secret))) }
}
