import HTTPTypes
import Models
import Postgres
import ServiceKit

/// What browsers ask before they let a page of another site send events (Fetch standard, "CORS protocol"). Any site
/// may: write keys are public and can only append.
enum CrossOrigin {
    /// Without the second, scripts don't see when they are to come back.
    private static let headers: HTTPFields = [
        .accessControlAllowOrigin: "*", .accessControlExposeHeaders: "Retry-After",
    ]

    /// The answer to a preflight request.
    static let preflight = ServiceResponse.empty(
        headers: [
            .accessControlAllowOrigin: "*", .accessControlAllowMethods: "POST, OPTIONS",
            // RudderStack's browser SDK sends the last with every call, for its own servers to route by.
            .accessControlAllowHeaders:
                "authorization, content-type, content-encoding, traceparent, anonymousid",
            .accessControlMaxAge: "86400",
        ])

    /// Runs a handler so that the page may read its answer, and its problem as well.
    static func answer(_ handler: () async throws -> ServiceResponse) async throws -> ServiceResponse {
        do { return readable(try await handler()) } catch { throw readable(error) }
    }

    /// What a page may read of an answer.
    static func readable(_ response: ServiceResponse) -> ServiceResponse {
        var response = response
        response.headers.append(contentsOf: headers)
        return response
    }

    /// What a page may read of an error.
    static func readable(_ error: any Error) -> any Error {
        switch error {
        case let problem as Problem: readable(problem)
        case let error as PostgresError where error.isTransient:
            readable(.unavailable("the database is away or busy; send the same again"))
        default: error
        }
    }

    /// A problem that pages may read, and that SDKs understand: those of Segment and RudderStack look for `code` and
    /// `message`, and without them the latter tries again what is refused for good.
    private static func readable(_ problem: Problem) -> Problem {
        var problem = problem
        problem.headers.append(contentsOf: headers)
        problem.extensions["code"] = .string(problem.type)
        problem.extensions["message"] = .string(problem.detail ?? problem.title)
        return problem
    }
}
