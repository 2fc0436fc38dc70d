import ConsentDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Takes what is asked for by forms, has a mail sent, and records the grant when it is confirmed.
struct OptInDesk: Sendable {
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let mailed: MailedForms

    static let source = "double-opt-in"

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
        try await mailed.ask(
            address, by: stored.id, detail(address, stored, language, words, occasion), on: occasion,
            in: transaction
        ) { token in
            notice(token, stored, language, words)
        }
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

    private func notice(
        _ token: String, _ stored: StoredOptInForm, _ language: PageLanguage, _ words: OptInForm.Words
    ) -> MailedForms.Notice {
        let texts = OptInTexts.of(language)
        let url = "\(mailed.pagesURL)/opt-in/\(stored.id)/\(token)"
        let html: HTML = """
            <!DOCTYPE html>
            <html lang="\(language.rawValue)"><head><meta charset="utf-8"><title>\(words.mailSubject)</title></head>
            <body><h1>\(words.title)</h1><p>\(words.text)</p><p>\(texts.mailConfirm)<br><a href="\(url)">\(url)</a></p><p>\(texts.mailIgnore)</p></body></html>

            """
        return .init(
            subject: words.mailSubject,
            text: "\(words.text)\n\n\(texts.mailConfirm)\n\(url)\n\n\(texts.mailIgnore)\n", html: html)
    }

    // MARK: Confirming

    /// What a token is of; nil where it is wrong, has expired, or was used.
    func asked(
        _ token: String, for form: String, at now: Instant, locking: Bool = false,
        in session: some PostgresSession
    ) async throws -> (id: OptInID, asked: Asked)? {
        guard
            let (id, detail) = try await mailed.asked(token, at: now, locking: locking, in: session)
        else { return nil }
        let asked = Asked(detail: detail)
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
}
