import ConsentDomain
import Crypto
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// Takes what is asked for by forms, has a mail sent, and records the grant when it is confirmed.
struct OptInDesk: Sendable {
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let outbox: Outbox
    /// Where the world reaches the pages, without a slash behind.
    let pagesURL: String

    static let source = "double-opt-in"
    /// How long a link in a mail is good.
    static let lifetime: Duration = .hours(48)

    /// What was asked for, as it is kept and shown again.
    struct Asked: Sendable {
        let detail: JSON

        var form: String { detail["form"]?.string ?? "" }
        var address: String { detail["address"]?.string ?? "" }
        var language: PageLanguage {
            detail["language"]?.string.flatMap(PageLanguage.init(rawValue:)) ?? .english
        }
        var title: String { detail["title"]?.string ?? "" }
        var text: String { detail["text"]?.string ?? "" }
        /// When the form was sent.
        var requestedAt: Instant {
            detail[path: "requested.at"]?.string.flatMap { Instant(rfc3339: $0) } ?? .distantPast
        }
        var purposes: [String] { (detail["purposes"]?.array ?? []).compactMap(\.string) }
    }

    // MARK: Asking

    /// Takes a form with an address. What comes of it is the same for whoever the address is of: nobody is looked up. False
    /// where too much came from the network.
    func ask(
        _ address: Identifier, by stored: StoredOptInForm, in language: PageLanguage,
        _ words: OptInForm.Words, on occasion: PreferenceCentre.Occasion, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let now = occasion.now
        let network = Data(
            profiles.key.mark(of: "opt-in network \(occasion.origin.address ?? "unknown")").utf8)
        let source = Data(
            profiles.key.mark(of: "opt-in source \(occasion.origin.household ?? "unknown")").utf8)
        let forms = try await OptInStore.forms(
            from: source, of: network, since: now - OptInLimit.networkWindow, in: transaction)
        guard OptInLimit.mayAsk(after: forms) else { return false }
        let hash = profiles.key.place(of: address).hash
        let mails = try await OptInStore.mails(
            to: hash, since: now - OptInLimit.addressWindow, in: transaction)
        var new = OptInStore.New(
            id: OptInID(UUIDv7.make(at: now)), addressHash: hash, networkHash: network, sourceHash: source,
            form: stored.id, requestedAt: now, expiresAt: now + Self.lifetime)
        if OptInLimit.mayMail(after: mails) {
            let secret = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
            new.digest = Self.digest(secret)
            new.detail = try await profiles.vault.days.key(at: now).seal(
                detail(address, stored, language, words, occasion).compact, at: OptInStore.place(of: new.id))
            try await OptInStore.create(new, in: transaction)
            let token = (withUnsafeBytes(of: new.id.uuid.uuid) { Data($0) } + secret).base64URL
            try await mail(
                address, token, stored, language, words, until: new.expiresAt, at: now, in: transaction)
        } else {
            try await OptInStore.create(new, in: transaction)
        }
        try await DeadlineSweeper.notify(schema: ServiceName.consent.schema, in: transaction)
        return true
    }

    private func detail(
        _ address: Identifier, _ stored: StoredOptInForm, _ language: PageLanguage, _ words: OptInForm.Words,
        _ occasion: PreferenceCentre.Occasion
    ) -> JSON {
        [
            "address": .string(address.value), "form": .string(stored.id),
            "textVersion": .string(stored.textVersion), "language": .string(language.rawValue),
            "title": .string(words.title), "text": .string(words.text),
            "purposes": .array(stored.form.purposes.map(JSON.string)),
            "requested": [
                "at": .string(occasion.now.rfc3339), "requestId": .string(occasion.requestID),
                "address": occasion.origin.address.map { .string($0) } ?? .null,
                "userAgent": occasion.origin.userAgent.map { .string($0) } ?? .null,
            ],
        ]
    }

    private func mail(
        _ address: Identifier, _ token: String, _ stored: StoredOptInForm, _ language: PageLanguage,
        _ words: OptInForm.Words, until expiresAt: Instant, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let texts = OptInTexts.of(language)
        let url = "\(pagesURL)/opt-in/\(stored.id)/\(token)"
        let html: HTML = """
            <!DOCTYPE html>
            <html lang="\(language.rawValue)"><head><meta charset="utf-8"><title>\(words.mailSubject)</title></head>
            <body><h1>\(words.title)</h1><p>\(words.text)</p><p>\(texts.mailConfirm)<br><a href="\(url)">\(url)</a></p><p>\(texts.mailIgnore)</p></body></html>

            """
        try await outbox.enqueue(
            target: .delivery, path: "/v1/notices",
            body: [
                "id": .string(UUIDv7.make(at: now).hyphenated), "address": .string(address.value),
                "subject": .string(words.mailSubject),
                "text": .string("\(words.text)\n\n\(texts.mailConfirm)\n\(url)\n\n\(texts.mailIgnore)\n"),
                "html": .string(html.text), "expiresAt": .string(expiresAt.rfc3339),
            ], in: transaction, at: now)
    }

    // MARK: Confirming

    /// What a token is of; nil where it is wrong, has expired, or was used.
    func asked(
        _ token: String, for form: String, at now: Instant, locking: Bool = false,
        in session: some PostgresSession
    ) async throws -> (id: OptInID, asked: Asked)? {
        guard token.utf8.count == 64, let data = Data(base64URL: token), data.count == 48,
            data.base64URL == token
        else { return nil }
        let id = OptInID(
            UUID(uuid: data.prefix(16).withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }))
        guard var waiting = try await OptInStore.waiting(id, locking: locking, in: session),
            waiting.token.accepts(Self.digest(Array(data.dropFirst(16))), at: now),
            let detail = try await profiles.vault.days.open(waiting.detail, at: OptInStore.place(of: id))
        else { return nil }
        let asked = Asked(detail: try JSONParser.parse(detail))
        // Of a form that was deleted since, also where there is another one of its name, nothing is good any more.
        guard asked.form == form, let stored = try await OptInFormStore.get(form, in: session),
            stored.createdAt <= asked.requestedAt
        else { return nil }
        return (id, asked)
    }

    /// Records the grant for the profile that the address leads to, with evidence of both steps; false where the token is good
    /// no more, or there is nothing left to grant.
    func confirm(
        _ token: String, for form: String, as profileID: ProfileID, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        // Whatever decides is locked first, in the order of ConsentRecorder.
        try await recorder.lockPeople(of: [profileID], in: transaction)
        guard let person = try await profiles.person(profileID, in: transaction),
            let (id, asked) = try await asked(
                token, for: form, at: occasion.now, locking: true, in: transaction)
        else { return false }
        let policy = try await policies.current(in: transaction).policy
        let granted = OptInGrant.names(
            of: asked.purposes.compactMap { policy.purposes[$0] }, requestedAt: asked.requestedAt,
            words: try await PreferenceCentre.words(of: person, in: transaction))
        let decisions = granted.map { purpose in
            NewDecision(
                profileID: profileID,
                signal: ConsentSignal(
                    purpose: purpose, action: .grant, source: Self.source,
                    textVersion: asked.detail["textVersion"]?.string, locale: asked.language.rawValue,
                    occurredAt: occasion.now,
                    evidence: [
                        "kind": "doubleOptIn", "form": .string(asked.form),
                        "requested": asked.detail["requested"] ?? .null,
                        "requestId": .string(occasion.requestID),
                    ]
                ).with(occasion.origin), traceparent: occasion.traceparent)
        }
        let recorded = try await recorder.record(
            decisions, at: occasion.now, traceparent: occasion.traceparent, in: transaction)
        guard !recorded.isEmpty else { return false }
        try await OptInStore.use(id, in: transaction)
        return true
    }

    private static func digest(_ secret: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: Data(secret))) }
}
