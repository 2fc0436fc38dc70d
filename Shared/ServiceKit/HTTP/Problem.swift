package import HTTPTypes
package import Models
import Postgres

/// An error as a caller sees it: RFC 9457 `application/problem+json`.
///
/// `type` is stable and names the kind; `detail` says what to do next. Neither ever holds personal data,
/// secrets, or anything of the inside.
package struct Problem: Error, Sendable {
    package var status: HTTPResponse.Status
    /// The last part of the type URI, e.g. `invalid-segment`.
    package var type: String
    package var title: String
    package var detail: String?
    /// Further members, such as `errors`.
    package var extensions: [String: JSON]
    package var headers: HTTPFields

    package init(
        status: HTTPResponse.Status, type: String, title: String, detail: String? = nil,
        extensions: [String: JSON] = [:], headers: HTTPFields = [:]
    ) {
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.extensions = extensions
        self.headers = headers
    }

    /// What all type URIs begin with.
    package static let typeBase = "https://martlet.dev/problems/"

    package var json: JSON {
        var members = extensions
        members["type"] = .string(Self.typeBase + type)
        members["title"] = .string(title)
        members["status"] = .integer(Int64(status.code))
        if let detail { members["detail"] = .string(detail) }
        return .object(members)
    }
}

extension Problem {
    /// 400 with what was expected; `errors` lists each mistake with its place where there are several.
    package static func badRequest(_ detail: String, type: String = "invalid-request", errors: [JSON] = [])
        -> Problem
    {
        Problem(
            status: .badRequest, type: type, title: "The request is not valid", detail: detail,
            extensions: errors.isEmpty ? [:] : ["errors": .array(errors)])
    }

    /// 400 for a value that is not what was expected at its path.
    package static func invalid(_ problem: DecodingProblem, type: String = "invalid-request") -> Problem {
        badRequest(
            problem.message, type: type,
            errors: [["path": .string(problem.path), "expected": .string(problem.expected)]])
    }

    package static func unauthorized(_ detail: String) -> Problem {
        Problem(
            status: .unauthorized, type: "unauthorized", title: "Who is calling is not known", detail: detail,
            headers: [.wwwAuthenticate: #"Bearer realm="martlet""#])
    }

    package static func forbidden(_ detail: String) -> Problem {
        Problem(status: .forbidden, type: "forbidden", title: "This caller may not do that", detail: detail)
    }

    package static func notFound(_ detail: String, type: String = "not-found") -> Problem {
        Problem(status: .notFound, type: type, title: "There is nothing here", detail: detail)
    }

    package static func conflict(_ detail: String, type: String = "conflict") -> Problem {
        Problem(
            status: .conflict, type: type, title: "The request is at odds with what is there", detail: detail)
    }

    /// 412: the `If-Match` does not name the current version.
    package static func preconditionFailed(_ detail: String) -> Problem {
        Problem(
            status: .preconditionFailed, type: "version-mismatch", title: "The version has changed",
            detail: detail)
    }

    package static func tooLarge(limit: Int) -> Problem {
        Problem(
            status: .contentTooLarge, type: "too-large", title: "The request is too large",
            detail: "the body may have at most \(limit) bytes; send it in parts")
    }

    package static func unsupportedMediaType(_ expected: String) -> Problem {
        Problem(
            status: .unsupportedMediaType, type: "unsupported-media-type",
            title: "This kind of body is not read here",
            detail: "send \(expected)")
    }

    package static func tooManyRequests(retryAfterSeconds: Int, _ detail: String) -> Problem {
        Problem(
            status: .tooManyRequests, type: "rate-limited", title: "Too many requests", detail: detail,
            headers: [.retryAfter: "\(retryAfterSeconds)"])
    }

    package static func unavailable(_ detail: String, retryAfterSeconds: Int = 1) -> Problem {
        Problem(
            status: .serviceUnavailable, type: "unavailable", title: "Not possible for the moment",
            detail: detail,
            headers: [.retryAfter: "\(retryAfterSeconds)"])
    }

    /// How an error that reached the edge is answered, once, here. Nil: it is unknown, a 500 to be logged.
    static func from(_ error: any Error) -> Problem? {
        switch error {
        case let problem as Problem: problem
        case let error as PostgresError where error.isTransient:
            .unavailable("the database is away or busy; nothing was changed, try again")
        case let problem as DecodingProblem: .invalid(problem)
        case let error as JSONError:
            .badRequest(
                "the body is not JSON: \(error.message) at byte \(error.offset)", type: "invalid-json",
                errors: [["offset": .integer(Int64(error.offset)), "expected": .string(error.message)]])
        default: nil
        }
    }
}
