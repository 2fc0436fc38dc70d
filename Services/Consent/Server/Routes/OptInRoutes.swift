import ConsentDomain
import Foundation
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// `/opt-in/{form}`: where anybody asks for something, and confirms it by the link in a mail. A GET never changes anything.
struct OptInRoutes: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let desk: OptInDesk
    let subjects: SubjectResolver
    let proxies: TrustedProxies

    func add(to router: ServiceRouter) {
        router.get("/opt-in/{form}", access: .open) { request in
            try await PageAnswers.answering(request) {
                guard let (id, stored) = try await form(request), let shown = shown(stored, request) else {
                    return PageAnswers.refused(request)
                }
                return OptInPage.form(
                    shown.words, in: shown.language, of: stored.form.languages, here: id)
            }
        }
        router.post("/opt-in/{form}", access: .open) { request in
            try await PageAnswers.answering(request) { try await ask(request) }
        }
        router.get("/opt-in/{form}/{token}", access: .open) { request in
            try await PageAnswers.answering(request) {
                guard let (form, token) = link(request),
                    let (_, asked) = try await desk.asked(
                        token, for: form, at: try await clock.now(), in: pool)
                else { return PageAnswers.refused(request) }
                return OptInPage.question(asked, here: token)
            }
        }
        router.post("/opt-in/{form}/{token}", access: .open) { request in
            try await PageAnswers.answering(request) { try await confirm(request) }
        }
    }

    private func form(_ request: ServiceRequest) async throws -> (id: String, stored: StoredOptInForm)? {
        guard let id = try? request.path("form"), Purpose.isID(id),
            let stored = try await OptInFormStore.get(id, in: pool)
        else { return nil }
        return (id, stored)
    }

    private func shown(
        _ stored: StoredOptInForm, _ request: ServiceRequest
    ) -> (language: PageLanguage, words: OptInForm.Words)? {
        stored.form.shown(in: PageAnswers.language(request))
    }

    private func ask(_ request: ServiceRequest) async throws -> ServiceResponse {
        guard let (id, stored) = try await form(request), let shown = shown(stored, request) else {
            return PageAnswers.refused(request)
        }
        let body = try await FormBody(request)
        func again(_ text: String, _ status: HTTPResponse.Status) -> ServiceResponse {
            OptInPage.form(
                shown.words, in: shown.language, of: stored.form.languages, here: id, notice: .failed(text),
                status: status)
        }
        let texts = OptInTexts.of(shown.language)
        // By how it is written alone: whether there is such a person is nobody's business.
        guard let address = Identifier(.email, body.fields["email"]), address.value.utf8.count <= 254 else {
            return again(texts.invalid, .unprocessableContent)
        }
        let occasion = try await PageAnswers.occasion(
            request, proxies: proxies, language: shown.language, at: try await clock.now())
        let isTaken = try await pool.transaction { transaction in
            try await desk.ask(
                address, by: stored, in: shown.language, shown.words, on: occasion, in: transaction)
        }
        guard isTaken else {
            var answer = again(texts.tooMany, .tooManyRequests)
            answer.headers[.retryAfter] = "3600"
            return answer
        }
        return OptInPage.asked(shown.language)
    }

    private func link(_ request: ServiceRequest) -> (form: String, token: String)? {
        guard let form = try? request.path("form"), let token = try? request.path("token") else { return nil }
        return (form, token)
    }

    private func confirm(_ request: ServiceRequest) async throws -> ServiceResponse {
        let body = try await FormBody(request)
        let now = try await clock.now()
        guard let (form, token) = link(request), body.fields["confirm"] == "yes",
            let (_, asked) = try await desk.asked(token, for: form, at: now, in: pool),
            let address = Identifier(.email, asked.address)
        else { return PageAnswers.refused(request) }
        // Only now, with an address that is somebody's, may there be a new profile; identity is asked outside of the
        // transaction.
        let profileID = try await subjects.resolve(.identifier(address))
        let occasion = try await PageAnswers.occasion(
            request, proxies: proxies, language: asked.language, at: now)
        let isConfirmed = try await pool.transaction { transaction in
            try await desk.confirm(token, for: form, as: profileID, on: occasion, in: transaction)
        }
        return isConfirmed ? OptInPage.confirmed(asked.language) : PageAnswers.refused(request)
    }
}
