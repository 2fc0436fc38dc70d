import ConsentDomain
import Foundation
import HTTPTypes
import Models
import Postgres
import ProfileStore
import ServiceKit

/// `/privacy-choices`: what the CCPA gives people, open to everybody. A GET never changes anything, and no answer says whether
/// somebody is known.
struct ChoiceRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let desk: ChoiceDesk
    let forms: ChoiceForm
    let proxies: TrustedProxies

    func add(to router: ServiceRouter) {
        router.get("/privacy-choices", access: .open) { request in
            try await PageAnswers.answering(request) {
                try await choices(request, browser: Self.browser(request)).answer()
            }
        }
        router.post("/privacy-choices", access: .open) { request in
            try await PageAnswers.answering(request) { try await choose(request) }
        }
        router.get("/privacy-choices/requests", access: .open) { request in
            try await PageAnswers.answering(request) { try await asking(request).answer() }
        }
        router.post("/privacy-choices/requests", access: .open) { request in
            try await PageAnswers.answering(request) { try await ask(request) }
        }
        router.get("/privacy-choices/requests/{token}", access: .open) { request in
            try await PageAnswers.answering(request) {
                guard let token = try? request.path("token"),
                    let (_, asked) = try await desk.asked(token, at: try await clock.now(), in: pool)
                else { return PageAnswers.refused(request) }
                return ChoicePage.question(asked, here: token)
            }
        }
        router.post("/privacy-choices/requests/{token}", access: .open) { request in
            try await PageAnswers.answering(request) { try await confirm(request) }
        }
    }

    // MARK: Who it is about

    /// Where Segment's SDKs keep what they call a browser.
    private static let cookie = "ajs_anonymous_id"

    /// What the browser is called: by the link, or by the SDK's cookie where the page is of the same site. What can't be a name
    /// is none.
    private static func browser(_ request: ServiceRequest) -> Identifier? {
        let linked = try? request.query("anonymousId")
        let found = linked ?? cookies(request)[cookie].map { $0.trimmingCharacters(in: ["\""]) }
        return found.flatMap(browser)
    }

    private static func browser(_ text: String) -> Identifier? {
        guard (1...256).contains(text.utf8.count),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else { return nil }
        return Identifier(.anonymousID, text)
    }

    private static func cookies(_ request: ServiceRequest) -> [String: String] {
        let pairs = request.headers[values: .cookie].flatMap { $0.split(separator: ";") }.map { pair in
            pair.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: [" "]) }
        }
        return Dictionary(
            pairs.filter { $0.count == 2 }.map { ($0[0], $0[1].removingPercentEncoding ?? "") },
            uniquingKeysWith: { first, _ in first })
    }

    private static func hasPrivacyControl(_ request: ServiceRequest) -> Bool {
        request.header(.privacyControl) == "1"
    }

    // MARK: Opting out

    private func choices(_ request: ServiceRequest, browser: Identifier?) async throws -> ChoicePage.Choices {
        ChoicePage.Choices(
            language: PageAnswers.language(request), offer: try await desk.offer(in: pool),
            browser: browser?.value, hasPrivacyControl: Self.hasPrivacyControl(request),
            token: forms.token(for: .choose, of: browser?.value ?? "", at: try await clock.now()))
    }

    private func choose(_ request: ServiceRequest) async throws -> ServiceResponse {
        try ChoiceForm.requireOwnPage(request, pagesURL: desk.mailed.pagesURL)
        let form = try await FormBody(request)
        guard Set(form.fields.keys).isSubset(of: ["form", "anonymousId", "email", "sale", "limit"]),
            ["sale", "limit"].allSatisfy({ form.fields[$0] ?? "yes" == "yes" })
        else { throw Self.unknownField }
        // By what the page was made for, and not by a cookie, which a browser sends along with anybody's form.
        let named = form.fields["anonymousId"] ?? ""
        let browser = named.isEmpty ? nil : Self.browser(named)
        let page = try await choices(request, browser: browser)
        let texts = ChoiceTexts.of(page.language)
        let now = try await clock.now()
        guard forms.isGood(form.fields["form"], for: .choose, of: named, at: now) else {
            return page.answer(.failed(texts.outdated), status: .conflict)
        }
        let written = (form.fields["email"] ?? "").trimmingCharacters(in: [" "])
        let address = Identifier(.email, written)
        guard written.isEmpty || address != nil else {
            return page.answer(.failed(OptInTexts.of(page.language).invalid), status: .unprocessableContent)
        }
        let choice = ChoiceDesk.Choice(
            sale: form.fields["sale"] != nil, limit: form.fields["limit"] != nil, browser: browser,
            address: address, hasPrivacyControl: Self.hasPrivacyControl(request))
        guard choice.sale || choice.limit, browser != nil || address != nil else {
            return page.answer(.failed(texts.nothingChosen), status: .unprocessableContent)
        }
        let occasion = try await PageAnswers.occasion(
            request, proxies: proxies, language: page.language, at: now)
        let isTaken = try await pool.transaction { try await desk.optOut(choice, on: occasion, in: $0) }
        guard isTaken else {
            return Self.later(page.answer(.failed(texts.tooMany), status: .tooManyRequests))
        }
        return page.answer(.done(texts.done(choice)), isOver: true)
    }

    private static func later(_ answer: ServiceResponse) -> ServiceResponse {
        var answer = answer
        answer.headers[.retryAfter] = "3600"
        return answer
    }

    private static let unknownField = Problem.badRequest("the form has a field that the page doesn't have")

    // MARK: Knowing and deleting

    private func asking(_ request: ServiceRequest) async throws -> ChoicePage.Asking {
        ChoicePage.Asking(
            language: PageAnswers.language(request),
            token: forms.token(for: .request, of: "", at: try await clock.now()))
    }

    private func ask(_ request: ServiceRequest) async throws -> ServiceResponse {
        try ChoiceForm.requireOwnPage(request, pagesURL: desk.mailed.pagesURL)
        let form = try await FormBody(request)
        let page = try await asking(request)
        guard Set(form.fields.keys).isSubset(of: ["form", "kind", "email"]),
            let kind = ChoiceDesk.Asked.kinds.first(where: { $0.rawValue == form.fields["kind"] })
        else { throw Self.unknownField }
        let texts = ChoiceTexts.of(page.language)
        let now = try await clock.now()
        guard forms.isGood(form.fields["form"], for: .request, of: "", at: now) else {
            return page.answer(.failed(texts.outdated), status: .conflict)
        }
        guard let address = Identifier(.email, form.fields["email"]) else {
            return page.answer(.failed(OptInTexts.of(page.language).invalid), status: .unprocessableContent)
        }
        let occasion = try await PageAnswers.occasion(
            request, proxies: proxies, language: page.language, at: now)
        let isTaken = try await pool.transaction { transaction in
            try await desk.ask(kind, address, on: occasion, in: transaction)
        }
        guard isTaken else {
            return Self.later(page.answer(.failed(texts.tooMany), status: .tooManyRequests))
        }
        return OptInPage.asked(page.language)
    }

    private func confirm(_ request: ServiceRequest) async throws -> ServiceResponse {
        try ChoiceForm.requireOwnPage(request, pagesURL: desk.mailed.pagesURL)
        let body = try await FormBody(request)
        let now = try await clock.now()
        guard let token = try? request.path("token"), body.fields["confirm"] == "yes",
            let (_, asked) = try await desk.asked(token, at: now, in: pool)
        else { return PageAnswers.refused(request) }
        let occasion = try await PageAnswers.occasion(
            request, proxies: proxies, language: asked.language, at: now)
        let outcome = try await pool.transaction { transaction in
            let profileID = try await desk.profiles.canonicalID(of: asked.address, in: transaction)
            return try await desk.confirm(token, of: profileID, on: occasion, in: transaction)
        }
        guard let outcome else { return PageAnswers.refused(request) }
        return ChoicePage.confirmed(asked, outcome)
    }
}
