import ConsentDomain
import HTTPTypes
import Models
import Postgres
import ServiceKit

/// What all routes of pages do alike: in which language they answer, how they say no, and what they know of who asks.
enum PageAnswers {
    static func language(_ request: ServiceRequest) -> PageLanguage {
        PageLanguage(asked: try? request.query("lang"), accepting: request.header(.acceptLanguage))
    }

    static func occasion(
        _ request: ServiceRequest, proxies: TrustedProxies, language: PageLanguage, at now: Instant
    ) async throws -> PreferenceCentre.Occasion {
        let address = proxies.client(of: request.remoteAddress, forwarded: request.header(.forwardedFor))
        return PreferenceCentre.Occasion(
            requestID: UUIDv7.make(at: now).hyphenated,
            origin: Origin(address: address, userAgent: request.header(.userAgent)), language: language,
            now: now, traceparent: request.traceparent)
    }

    /// For a link that is not whole, has expired, was used, or leads to nobody: the same, whichever it is.
    static func refused(_ request: ServiceRequest) -> ServiceResponse {
        let texts = PageTexts.of(language(request))
        return message(texts.refusedTitle, texts.refused, status: .notFound, request)
    }

    private static func message(
        _ title: String, _ text: String, status: HTTPResponse.Status, _ request: ServiceRequest
    ) -> ServiceResponse {
        PageLayout.answer(
            "<p>\(text)</p>\n", title: title, in: language(request), here: nil, status: status)
    }

    /// Says as a page what went wrong.
    static func answering(
        _ request: ServiceRequest, _ body: () async throws -> ServiceResponse
    ) async throws -> ServiceResponse {
        let texts = PageTexts.of(language(request))
        do {
            return try await body()
        } catch let problem as Problem where problem.status.code < 500 {
            var answer = message(texts.mistakeTitle, texts.mistake, status: problem.status, request)
            answer.headers.append(contentsOf: problem.headers)
            return answer
        } catch let problem as Problem where problem.status == .serviceUnavailable {
            return later(texts, request)
        } catch let error as PostgresError where error.isTransient {
            return later(texts, request)
        }
    }

    private static func later(_ texts: PageTexts, _ request: ServiceRequest) -> ServiceResponse {
        var answer = message(texts.laterTitle, texts.later, status: .serviceUnavailable, request)
        answer.headers[.retryAfter] = "1"
        return answer
    }
}
