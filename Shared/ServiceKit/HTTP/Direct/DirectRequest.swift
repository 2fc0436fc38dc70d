package import HTTPTypes

/// A small request that is answered without a task of its own.
package struct DirectRequest: Sendable {
    package let authorization: String?
    package let contentType: String?
    /// The W3C trace context to carry on with.
    package let traceparent: String?
    /// Whether the browser sends `Sec-GPC: 1` (Global Privacy Control).
    package let globalPrivacyControl: Bool
    package let body: [UInt8]

    init(head: PlainHead, body: [UInt8]) {
        authorization = head.authorization
        contentType = head.contentType
        traceparent = head.traceparent.flatMap { Traceparent.isValid($0) ? $0 : nil }
        globalPrivacyControl = head.globalPrivacyControl
        self.body = body
    }
}

/// What a direct handler answers with.
package enum DirectAnswer: Sendable {
    /// Any answer.
    case response(ServiceResponse)
    /// The answer that is given over and over, with its headers written beforehand.
    case repeated(RepeatedAnswer, body: [UInt8])
}

/// A status with headers, written once for all answers that have them.
package struct RepeatedAnswer: Sendable {
    let status: HTTPResponse.Status
    /// Up to the value of `Content-Length`.
    let head: [UInt8]

    package init(status: HTTPResponse.Status = .ok, headers: HTTPFields) {
        self.status = status
        head = Self.head(status: status, headers: headers)
    }

    /// The head of an answer up to the value of its `Content-Length` (RFC 9112, section 4).
    static func head(status: HTTPResponse.Status, headers: HTTPFields) -> [UInt8] {
        var headers = headers
        headers[.contentLength] = nil
        headers[.xContentTypeOptions] = "nosniff"
        headers[.server] = "martlet"
        var text = "HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\n"
        for field in headers { text += "\(field.name.rawName): \(field.value)\r\n" }
        return Array((text + "Content-Length: ").utf8)
    }
}

/// Makes an answer; it runs on the event loop of the connection.
package typealias DirectAnswering = @Sendable () throws -> DirectAnswer

/// Answers a request by calling `respond` once, now or later and from anywhere, and returns true. Or returns false
/// without having done anything: then the request goes the usual way, to the handler of its route.
///
/// It runs on an event loop, so it must not block, and not compute for longer than a few milliseconds.
package typealias DirectHandler =
    @Sendable (_ request: DirectRequest, _ respond: @escaping @Sendable (@escaping DirectAnswering) -> Void)
    -> Bool
