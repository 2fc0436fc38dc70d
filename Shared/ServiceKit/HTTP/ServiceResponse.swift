import Foundation
package import HTTPTypes
import Hummingbird
package import Models
import NIOCore

/// What a handler answers with.
package struct ServiceResponse: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: [UInt8]
    /// Written instead of `body` where there is one.
    package var streamed: StreamedBody?

    package init(status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package static func json(_ json: JSON, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:])
        -> ServiceResponse
    {
        var bytes: [UInt8] = []
        json.write(into: &bytes)
        return .bytes(bytes, contentType: "application/json", status: status, headers: headers)
    }

    /// A value whose `Codable` shape is its wire shape.
    package static func encodable(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) throws -> ServiceResponse {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return .bytes(
            Array(try encoder.encode(value)), contentType: "application/json", status: status,
            headers: headers)
    }

    package static func empty(_ status: HTTPResponse.Status = .noContent, headers: HTTPFields = [:])
        -> ServiceResponse
    {
        ServiceResponse(status: status, headers: headers)
    }

    package static func html(_ text: String, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:])
        -> ServiceResponse
    {
        .bytes(Array(text.utf8), contentType: "text/html; charset=utf-8", status: status, headers: headers)
    }

    package static func ndjson(_ bytes: [UInt8]) -> ServiceResponse {
        .bytes(bytes, contentType: "application/x-ndjson")
    }

    package static func redirect(to location: String, status: HTTPResponse.Status = .found) -> ServiceResponse
    {
        ServiceResponse(status: status, headers: [.location: location])
    }

    package static func bytes(
        _ bytes: [UInt8], contentType: String, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> ServiceResponse {
        var headers = headers
        headers[.contentType] = contentType
        return ServiceResponse(status: status, headers: headers, body: bytes)
    }

    /// A page of a list: `{"items": […], "nextCursor": "…" | null}`.
    package static func page(_ items: [JSON], nextCursor: String?) -> ServiceResponse {
        .json(["items": .array(items), "nextCursor": nextCursor.map(JSON.string) ?? .null])
    }

    static func problem(_ problem: Problem) -> ServiceResponse {
        var bytes: [UInt8] = []
        problem.json.write(into: &bytes)
        return .bytes(
            bytes, contentType: "application/problem+json", status: problem.status, headers: problem.headers)
    }

    /// What Hummingbird sends, of a body that is there as a whole.
    var hummingbird: Response {
        var headers = headers
        headers[.xContentTypeOptions] = "nosniff"
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// The same as the answer to a request. To HEAD nothing is streamed.
    func hummingbird(answering request: Request) -> Response {
        var response = hummingbird
        if let streamed, request.method != .head { response.body = streamed.body(answering: request) }
        return response
    }
}

/// Opaque cursors: the position in a list, not to be read or made by callers.
package enum Cursor {
    package static func encode(_ parts: [String]) -> String {
        Data(JSON.array(parts.map(JSON.string)).compact.utf8).base64URL
    }

    /// The parts, of which there must be `count`; 400 for a cursor that is not one of ours.
    package static func decode(_ text: String?, count: Int) throws(Problem) -> [String]? {
        guard let text else { return nil }
        guard let data = Data(base64URL: text), let json = try? JSONParser.parse(Array(data)[...]),
            let parts = json.array?.compactMap(\.string), parts.count == count
        else { throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was") }
        return parts
    }
}
