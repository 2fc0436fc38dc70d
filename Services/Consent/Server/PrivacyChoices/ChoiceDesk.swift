import ConsentDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// What people ask for under the CCPA by pages that are open to everybody: not to have their data sold or shared, to have the use of
/// sensitive data limited, to know, and to have deleted.
struct ChoiceDesk: Sendable {
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let desk: PrivacyDesk
    let mailed: MailedForms

    /// What the ledger and the desk know these pages by.
    static let source = "privacy-choices"
    /// How the desk knows who asks.
    private static let verification = "mail: a link was sent to the address, and used"
    private static let optOutForm = "ccpa:opt-out"

    /// What can be opted out of by the policy.
    struct Offer: Sendable {
        /// What is sold or shared.
        let sale: [String]
        /// What is sensitive.
        let sensitive: [String]

        init(_ policy: ConsentPolicy) {
            let all = policy.purposes.values
            sale = ObjectedPurposes.meant(by: .optOut, among: Array(all))
            sensitive = all.filter(\.isSensitive).map(\.id).sorted()
        }
    }

    func offer(in session: some PostgresSession) async throws -> Offer {
        Offer(try await policies.current(in: session).policy)
    }

    // MARK: Opting out

    /// What somebody chooses, and by what they are known.
    struct Choice: Sendable {
        var sale: Bool
        var limit: Bool
        var browser: Identifier?
        var address: Identifier?
        /// Whether the browser says so by itself as well.
        var hasPrivacyControl: Bool
    }

    /// Opts people out at once, in this transaction, without asking who they are: the law wants no proof, and who is opted out
    /// loses nothing. Whoever is not known yet is told of to identity behind it, and is known then by what was opted out. False
    /// where too much came from the network.
    func optOut(
        _ choice: Choice, on occasion: PreferenceCentre.Occasion, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let offer = try await offer(in: transaction)
        let purposes = (choice.sale ? offer.sale : []) + (choice.limit ? offer.sensitive : [])
        let identifiers = [choice.browser, choice.address].compactMap { $0 }
        guard let first = choice.address ?? choice.browser else { return true }
        let known = try await profiles.canonicalIDs(of: Set(identifiers), in: transaction)
        // Chains first, then everything else.
        try await recorder.lockPeople(of: Set(known.values), in: transaction)
        guard
            try await mailed.count(first, by: Self.optOutForm, on: occasion, in: transaction)
        else { return false }
        let meant = Array(Set(purposes)).sorted()
        guard !meant.isEmpty else { return true }
        try await file(meant, for: Set(known.values), choice, on: occasion, in: transaction)
        for identifier in identifiers where known[identifier] == nil {
            try await tellOf(identifier, meant, choice, on: occasion, in: transaction)
        }
        return true
    }

    private func file(
        _ purposes: [String], for people: Set<ProfileID>, _ choice: Choice,
        on occasion: PreferenceCentre.Occasion, in transaction: PostgresTransaction
    ) async throws {
        var wishes: [PrivacyDesk.Wish] = []
        for (_, person) in try await profiles.people(people.sorted(), in: transaction)
        where person.erasedAt == nil {
            let words = try await PreferenceCentre.words(of: person, in: transaction)
            // Who says it again has said it.
            let left = purposes.filter { words[$0]?.state != .withdrawn }
            guard !left.isEmpty, !wishes.contains(where: { $0.profileID == person.profileID }) else {
                continue
            }
            wishes.append(
                PrivacyDesk.Wish(
                    kind: .optOut, regime: .ccpa, profileID: person.profileID, receivedAt: occasion.now,
                    needsVerification: false, detail: ["purposes": .array(left.map(JSON.string))]))
        }
        guard !wishes.isEmpty else { return }
        _ = try await desk.receive(wishes, on: asked(occasion), in: transaction)
    }

    private func tellOf(
        _ identifier: Identifier, _ purposes: [String], _ choice: Choice,
        on occasion: PreferenceCentre.Occasion, in transaction: PostgresTransaction
    ) async throws {
        for purpose in purposes {
            var body: [String: JSON] = [
                "subject": ["identifier": identifier.json], "purpose": .string(purpose),
                "action": "withdraw", "source": .string(Self.source),
                "locale": .string(occasion.language.rawValue),
                "occurredAt": .string(occasion.now.rfc3339),
                "evidence": [
                    "page": "privacy-choices", "requestId": .string(occasion.requestID),
                    "globalPrivacyControl": .bool(choice.hasPrivacyControl),
                ],
            ]
            body["address"] = occasion.origin.address.map { .string($0) }
            body["userAgent"] = occasion.origin.userAgent.map { .string($0) }
            try await mailed.outbox.enqueue(
                target: .consent, path: "/v1/consents", body: .object(body), in: transaction,
                at: occasion.now)
        }
    }

    private func asked(_ occasion: PreferenceCentre.Occasion) -> PrivacyDesk.Occasion {
        .init(caller: Self.source, now: occasion.now, traceparent: occasion.traceparent)
    }

    // MARK: Knowing and deleting

    /// What is asked for by a mail.
    struct Asked: Sendable {
        let kind: PrivacyRequestKind
        let address: Identifier
        let language: PageLanguage
        /// When the form was sent: the law's clock runs from then.
        let requestedAt: Instant

        init?(_ detail: JSON) {
            guard let form = detail["form"]?.string,
                let kind = Self.kinds.first(where: { $0.form == form }),
                let address = Identifier(.email, detail["address"]?.string),
                let at = detail["requestedAt"]?.string.flatMap({ Instant(rfc3339: $0) })
            else { return nil }
            self.kind = kind
            self.address = address
            requestedAt = at
            language = detail["language"]?.string.flatMap(PageLanguage.init(rawValue:)) ?? .english
        }

        static let kinds: [PrivacyRequestKind] = [.know, .delete]
    }

    /// Has a mail sent by whose link it is shown who asks; false where too much came from the network.
    func ask(
        _ kind: PrivacyRequestKind, _ address: Identifier, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Bool {
        let detail: JSON = [
            "address": .string(address.value), "form": .string(kind.form),
            "language": .string(occasion.language.rawValue),
            "requestedAt": .string(occasion.now.rfc3339), "requestId": .string(occasion.requestID),
        ]
        return try await mailed.ask(address, by: kind.form, detail, on: occasion, in: transaction) { token in
            ChoicePage.notice(
                kind, in: occasion.language, url: "\(mailed.pagesURL)/privacy-choices/requests/\(token)")
        }
    }

    /// What a token is of; nil where it is wrong, has expired, or was used.
    func asked(
        _ token: String, at now: Instant, locking: Bool = false, in session: some PostgresSession
    ) async throws -> (id: OptInID, asked: Asked)? {
        guard let (id, detail) = try await mailed.asked(token, at: now, locking: locking, in: session),
            let asked = Asked(detail)
        else { return nil }
        return (id, asked)
    }

    /// What came of a confirmation.
    enum Outcome: Sendable {
        case filed(StoredPrivacyRequest)
        /// Nobody is known by the address.
        case unknown
    }

    /// Files the request, unless there is one; nil where the token is good no more.
    func confirm(
        _ token: String, of profileID: ProfileID?, on occasion: PreferenceCentre.Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Outcome? {
        if let profileID { try await recorder.lockPeople(of: [profileID], in: transaction) }
        guard let (id, asked) = try await asked(token, at: occasion.now, locking: true, in: transaction)
        else {
            return nil
        }
        try await OptInStore.use(id, in: transaction)
        guard let profileID else { return .unknown }
        let how = "\(Self.verification); request \(occasion.requestID)"
        let verdict = try await desk.receive(
            [
                PrivacyDesk.Wish(
                    kind: asked.kind, regime: .ccpa, profileID: profileID, receivedAt: asked.requestedAt,
                    needsVerification: false, verification: how)
            ], joining: true, on: self.asked(occasion), in: transaction
        ).first
        switch verdict {
        case .accepted(let request): return .filed(request)
        case .duplicate(let request):
            guard request.lifecycle.state == .verifying else { return .filed(request) }
            // Somebody else filed it for them, and it waited for them to show that it is they.
            return .filed(
                try await desk.verify(
                    request.id, saying: how, on: self.asked(occasion), in: transaction))
        // Of who is being erased there is nothing left to ask for.
        case .refused, nil: return .unknown
        }
    }
}

extension PrivacyRequestKind {
    /// What asking for it by a page is counted and kept as: no form of an operator's can be called so.
    fileprivate var form: String { "ccpa:\(rawValue)" }
}
