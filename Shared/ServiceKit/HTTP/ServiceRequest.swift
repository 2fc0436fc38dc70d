import Foundation
package import HTTPTypes
import Hummingbird
package import Models
import NIOCore
import NIOHTTP1

/// A request as a handler sees it: decoded where the wire meets the code, with limits.
package struct ServiceRequest: Sendable {
    package let caller: Caller
    /// The address of the peer, without its port, for rate limits.
    package let remoteAddress: String
    /// The W3C trace context to carry on with.
    package let traceparent: String?
    /// What the handler may record itself, in the transaction that it commits.
    package internal(set) var auditDuty: AuditDuty?
    private let request: Request
    private let parameters: Parameters

    init(request: Request, context: ServiceRequestContext, caller: Caller) {
        self.request = request
        self.caller = caller
        parameters = context.parameters
        remoteAddress = context.remoteAddress
        traceparent = request.headers[.traceparent].flatMap { Traceparent.isValid($0) ? $0 : nil }
    }

    package var headers: HTTPFields { request.headers }
    package var method: HTTPRequest.Method { request.method }
    package var path: String { request.uri.path }
    /// The path and the query as they came, for signatures.
    package var target: String { request.head.path ?? "/" }

    package func header(_ name: HTTPField.Name) -> String? { request.headers[name] }

    /// What stands in the braces of the path, decoded.
    var pathValues: [(name: String, value: String)] {
        parameters.map { (String($0.key), $0.value.removingPercentEncoding ?? "") }
    }

    // MARK: Path and query

    /// A path parameter as text; at most 512 bytes and without control characters.
    package func path(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = raw.removingPercentEncoding ?? nil else {
            throw .badRequest("the path parameter `\(name)` is missing or not UTF-8")
        }
        return try Self.checked(text, name: name)
    }

    /// A path parameter as an id; 400 where it is not one.
    package func pathID<Tag>(_ name: String, as: TypedID<Tag>.Type = TypedID<Tag>.self) throws(Problem)
        -> TypedID<Tag>
    {
        guard let id = TypedID<Tag>(try path(name)) else {
            throw .badRequest("`\(name)` in the path must be a UUID")
        }
        return id
    }

    /// A query parameter as text, or nil when it is absent.
    package func query(_ name: String) throws(Problem) -> String? {
        guard let value = request.uri.queryParameters[Substring(name)] else { return nil }
        return try Self.checked(String(value), name: name)
    }

    /// A query parameter that may be long, or nil when it is absent.
    package func query(_ name: String, maxBytes: Int) throws(Problem) -> String? {
        guard let value = request.uri.queryParameters[Substring(name)] else { return nil }
        guard value.utf8.count <= maxBytes else {
            throw .badRequest("`\(name)` must have at most \(maxBytes) bytes")
        }
        return String(value)
    }

    /// All query parameters, decoded, in their order.
    package var queryParameters: [(name: String, value: String)] {
        request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    /// The host and port that the caller asked for.
    package var authority: String? { request.head.authority }

    /// A whole-number query parameter within bounds; 400 where it is not.
    package func query(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws(Problem)
        -> Int
    {
        guard let text = try query(name) else { return fallback }
        guard let value = Int(text), range.contains(value) else {
            throw .badRequest(
                "`\(name)` must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// An instant query parameter (RFC 3339).
    package func queryInstant(_ name: String) throws(Problem) -> Instant? {
        guard let text = try query(name) else { return nil }
        guard let instant = Instant(rfc3339: text) else {
            throw .badRequest("`\(name)` must be an RFC 3339 time such as 2026-11-21T02:33:00Z")
        }
        return instant
    }

    /// An id query parameter.
    package func queryID<Tag>(_ name: String, as: TypedID<Tag>.Type = TypedID<Tag>.self) throws(Problem)
        -> TypedID<Tag>?
    {
        guard let text = try query(name) else { return nil }
        guard let id = TypedID<Tag>(text) else { throw .badRequest("`\(name)` must be a UUID") }
        return id
    }

    private static func checked(_ text: String, name: String) throws(Problem) -> String {
        guard text.utf8.count <= 512, !text.isEmpty,
            !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else { throw .badRequest("`\(name)` must have 1 to 512 bytes and no control characters") }
        return text
    }

    // MARK: Body

    /// The whole body; 413 beyond the limit, before more than that is held.
    package func body(maxBytes: Int = 1 << 20) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > maxBytes {
            throw Problem.tooLarge(limit: maxBytes)
        }
        do {
            let buffer = try await request.body.collect(upTo: maxBytes)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem.tooLarge(limit: maxBytes)
        } catch let error as HTTPError where error.status == .contentTooLarge {
            throw Problem.tooLarge(limit: maxBytes)
        } catch is HTTPParserError {
            // The client has gone, or was too slow: nothing that is wrong here.
            throw Problem.badRequest("the body ended before it was whole")
        }
    }

    /// The whole body with its content coding taken off; 413 beyond the limit, 415 for a coding that is not read, 400
    /// where the body is not what the coding says.
    package func decodedBody(maxBytes: Int) async throws -> [UInt8] {
        let coding = (request.headers[.contentEncoding] ?? "identity").lowercased()
        let bytes = try await body(maxBytes: maxBytes)
        if coding == "identity" || coding.isEmpty { return bytes }
        guard Inflating.codings.contains(coding) else {
            throw Problem.unsupportedMediaType("the body as it is, or with Content-Encoding gzip or deflate")
        }
        do {
            return try Inflating.inflate(bytes, coding: coding, limit: maxBytes)
        } catch {
            switch error {
            case .tooLarge: throw Problem.tooLarge(limit: maxBytes)
            case .notCompressed:
                throw Problem.badRequest("the body is not \(coding), as Content-Encoding says it is")
            }
        }
    }

    /// The body as JSON; 415 for another media type, 400 where it is not strict JSON.
    package func json(maxBytes: Int = 1 << 20) async throws -> JSON {
        try requireMediaType(["application/json"])
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw Problem.unsupportedMediaType("the body without a Content-Encoding")
        }
        return try JSONParser.parse(try await body(maxBytes: maxBytes)[...])
    }

    /// The media type of the body in lower case without parameters, empty when not given.
    package var mediaType: String {
        guard let type = request.headers[.contentType], !type.isEmpty else { return "" }
        if type == "application/json" { return type }
        return type.split(separator: ";").first
            .map { $0.trimmingCharacters(in: .whitespaces).lowercased() } ?? ""
    }

    /// 415 unless the body is of one of the types.
    package func requireMediaType(_ accepted: [String]) throws(Problem) {
        guard accepted.contains(mediaType) else {
            throw .unsupportedMediaType(accepted.joined(separator: " or "))
        }
    }

    // MARK: Preconditions

    /// The strong validators of `If-Match` (RFC 9110 section 13.1.1), without quotes; nil when it is absent.
    package var ifMatch: [String]? { Self.validators(request.headers[.ifMatch]) }
    /// The validators of `If-None-Match`; `*` stands for any version.
    package var ifNoneMatch: [String]? { Self.validators(request.headers[.ifNoneMatch]) }

    private static func validators(_ header: String?) -> [String]? {
        header?.split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces).replacing("\"", with: "")
        }
    }
}

extension HTTPField.Name {
    /// W3C Trace Context.
    package static let traceparent = constant("traceparent")
    package static let idempotencyKey = constant("Idempotency-Key")
    /// The id of the last server-sent event that a client has.
    package static let lastEventID = constant("Last-Event-ID")
    /// Where else to go, such as to the next page (RFC 8288).
    package static let link = constant("Link")
    /// Whether a proxy may gather an answer before it passes it on (nginx).
    package static let acceptsBuffering = constant("X-Accel-Buffering")

    /// A header name known to be a token.
    private static func constant(_ text: String) -> HTTPField.Name {
        HTTPField.Name(text) ?? .xContentTypeOptions
    }
}

/// The `traceparent` header (W3C Trace Context, version 00).
package enum Traceparent {
    /// Whether the text has the shape of a traceparent: four hexadecimal fields of 2, 32, 16 and 2 digits.
    package static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.count) == [2, 32, 16, 2]
            && parts.allSatisfy { $0.allSatisfy { $0.isHexDigit && !$0.isUppercase } }
    }
}
