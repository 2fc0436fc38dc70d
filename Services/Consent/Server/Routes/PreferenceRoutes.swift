import ConsentDomain
import Foundation
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/preferences/{token}`: people's own pages. Open to everybody who has a link; a GET never changes anything.
///
/// A link that was changed, has expired, or leads to nobody (any more) is answered the same, whichever it is.
struct PreferenceRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let links: PersonLinks
    let forms: PageForm
    let centre: PreferenceCentre
    let subjects: SubjectResolver
    let proxies: TrustedProxies

    func add(to router: ServiceRouter) {
        router.post("/v1/preference-links", scope: .consentWrite, touches: .identifiers) {
            try await makeLink($0)
        }
        router.get("/preferences/{token}", access: .open) { request in
            try await show(request, at: .root) { page in page.preferences(Self.notice(request, page)) }
        }
        router.get("/preferences/{token}/erasure", access: .open) { request in
            try await show(request, at: .below) { page in
                page.erasure == nil ? page.eraseQuestion() : page.preferences()
            }
        }
        router.post("/preferences/{token}", access: .open) { request in
            try await take(request, at: .root, saying: "saved") { form, claim, occasion, transaction in
                try await centre.save(form, claim, on: occasion, in: transaction)
            }
        }
        router.post("/preferences/{token}/unsubscribe", access: .open) { request in
            try await take(request, at: .below, saying: "unsubscribed") {
                try await centre.unsubscribe($0, $1, on: $2, in: $3)
            }
        }
        router.post("/preferences/{token}/data", access: .open) { request in
            try await take(request, at: .below, saying: "data") {
                try await centre.askForData($0, $1, on: $2, in: $3)
            }
        }
        router.post("/preferences/{token}/erasure", access: .open) { try await erase($0) }
    }

    // MARK: Links

    /// How long a link may lead somewhere.
    private static let longest: Duration = .hours(366 * 24)
    private static let usual: Duration = .hours(30 * 24)

    private func makeLink(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: 64 << 10))
        try fields.allow(["subject", "language", "expiresAt"])
        let subject = try Subject(fields)
        let now = try await clock.now()
        let expiresAt = try fields.optionalInstant("expiresAt") ?? now + Self.usual
        guard expiresAt > now, expiresAt <= now + Self.longest else {
            throw fields.problem("expiresAt", expected: "a time later than now, within 366 days")
        }
        let language =
            fields["language"] == nil
            ? nil
            : try fields.text(
                "language",
                expected: "one of \(PageLanguage.allCases.map(\.rawValue).joined(separator: ", "))"
            ) {
                PageLanguage(rawValue: $0) != nil
            }
        let profileID = try await subjects.lookUp(subject)
        guard let person = try await subjects.profiles.person(profileID, in: pool) else {
            throw SubjectResolver.unknown
        }
        guard person.erasedAt == nil else { throw SubjectResolver.erased }
        let claim = PersonLinks.Claim(profileID: person.profileID, expiresAt: expiresAt)
        let url = try links.preferences(claim) + (language.map { "?lang=\($0)" } ?? "")
        return .json(
            ["url": .string(url), "expiresAt": .string(claim.expiresAt.rfc3339)], status: .created,
            headers: [.cacheControl: "no-store"])
    }

    // MARK: Pages

    /// Where in the tree of a link's pages one stands: what leads from it to the first of them.
    private enum Place: Sendable {
        case root, below

        func root(_ token: String) -> String { self == .root ? token : "../\(token)" }
    }

    /// A page of a link, for what a GET shows.
    private func show(
        _ request: ServiceRequest, at place: Place,
        _ render: @Sendable (PreferencePage) -> ServiceResponse
    ) async throws -> ServiceResponse {
        try await PageAnswers.answering(request) {
            guard let (token, claim) = claim(of: request),
                let visit = try await centre.visit(claim, at: try await clock.now(), in: pool)
            else { return PageAnswers.refused(request) }
            return render(page(visit, token, at: place, request))
        }
    }

    private func page(
        _ visit: PreferenceCentre.Visit, _ token: String, at place: Place, _ request: ServiceRequest
    ) -> PreferencePage {
        let forms = forms
        return PreferencePage(
            language: PageAnswers.language(request), state: visit.state, requests: visit.requests,
            root: place.root(token)
        ) { forms.token(for: $0, visit.claim, visit.state, policyVersion: visit.policyVersion) }
    }

    /// What was just done, which a redirect tells the page.
    private static func notice(_ request: ServiceRequest, _ page: PreferencePage) -> PageLayout.Notice? {
        let texts = PageTexts.of(page.language)
        return switch try? request.query("done") {
        case "saved": .done(texts.saved)
        case "unsubscribed": .done(texts.unsubscribed)
        case "data": .done(texts.dataFiled)
        default: nil
        }
    }

    // MARK: Forms

    private typealias Taking =
        @Sendable (
            FormBody, PersonLinks.Claim, PreferenceCentre.Occasion, PostgresTransaction
        ) async throws -> PreferenceCentre.Outcome?

    /// Does what a form says, and sends the browser back to the page, so that loading it again does nothing again.
    private func take(
        _ request: ServiceRequest, at place: Place, saying done: String, _ taking: Taking
    ) async throws -> ServiceResponse {
        try await PageAnswers.answering(request) {
            guard let (token, claim) = claim(of: request) else { return PageAnswers.refused(request) }
            let form = try await FormBody(request)
            let occasion = try await occasion(request)
            let outcome = try await pool.transaction { try await taking(form, claim, occasion, $0) }
            switch outcome {
            case nil: return PageAnswers.refused(request)
            case .done:
                var response = ServiceResponse.redirect(
                    to: "\(place.root(token))?lang=\(occasion.language.rawValue)&done=\(done)",
                    status: .seeOther)
                response.headers.append(contentsOf: PageLayout.headers)
                return response
            case .outdated(let visit): return outdated(visit, token, at: place, request)
            case .beingErased(let visit):
                return page(visit, token, at: place, request).preferences(status: .conflict)
            }
        }
    }

    private func outdated(
        _ visit: PreferenceCentre.Visit, _ token: String, at place: Place, _ request: ServiceRequest
    ) -> ServiceResponse {
        page(visit, token, at: place, request).preferences(
            .failed(PageTexts.of(PageAnswers.language(request)).outdated), status: .conflict)
    }

    private func erase(_ request: ServiceRequest) async throws -> ServiceResponse {
        try await PageAnswers.answering(request) {
            guard let (token, claim) = claim(of: request) else { return PageAnswers.refused(request) }
            let form = try await FormBody(request)
            let occasion = try await occasion(request)
            let texts = PageTexts.of(occasion.language)
            guard form.fields["understood"] == "yes" else {
                guard let visit = try await centre.visit(claim, at: occasion.now, in: pool) else {
                    return PageAnswers.refused(request)
                }
                return page(visit, token, at: .below, request).eraseQuestion(
                    .failed(texts.eraseMissing), status: .unprocessableContent)
            }
            let outcome = try await pool.transaction {
                try await centre.erase(form, claim, on: occasion, in: $0)
            }
            switch outcome {
            case nil: return PageAnswers.refused(request)
            case .outdated(let visit): return outdated(visit, token, at: .below, request)
            case .done, .beingErased:
                guard let visit = try await centre.visit(claim, at: occasion.now, in: pool) else {
                    return PageAnswers.refused(request)
                }
                return page(visit, token, at: .below, request).preferences(.done(texts.erasureFiled))
            }
        }
    }

    private func occasion(_ request: ServiceRequest) async throws -> PreferenceCentre.Occasion {
        try await PageAnswers.occasion(
            request, proxies: proxies, language: PageAnswers.language(request), at: try await clock.now())
    }

    private func claim(of request: ServiceRequest) -> (token: String, claim: PersonLinks.Claim)? {
        guard let token = try? request.path("token"), let claim = links.claim(in: token) else { return nil }
        return (token, claim)
    }
}
