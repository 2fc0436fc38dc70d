import AsyncHTTPClient
import Foundation
import Models
import NIOCore
import NIOHTTP1

/// Calls the services over HTTP as any outside program would.
struct APIClient: Sendable {
    struct Answer: Sendable {
        let status: Int
        let headers: [String: String]
        let body: [UInt8]

        var json: JSON? { try? JSONParser.parse(body[...]) }

        /// What a problem document says, or the start of whatever came.
        var problem: String {
            guard let json, let title = json["title"]?.string else {
                return "status \(status): " + String(decoding: body.prefix(300), as: UTF8.self)
            }
            var text = "\(status) \(title)"
            if let detail = json["detail"]?.string { text += ": \(detail)" }
            for error in json["errors"]?.array ?? [] { text += "\n  \(error.compact)" }
            return text
        }
    }

    /// How the caller shows who it is.
    enum Authorization: Sendable {
        case none
        case bearer(String)
        /// The name is a write key, the password empty.
        case writeKey(String)
    }

    private let client: HTTPClient

    /// Does something with a client and closes it afterwards.
    static func with<T>(connections: Int = 8, _ body: (APIClient) async throws -> T) async throws -> T {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(3)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        configuration.redirectConfiguration = .disallow
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(APIClient(client: client))
            try await client.shutdown()
            return result
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    /// Sends a request; throws only when no answer comes.
    func send(
        _ method: String = "GET", _ url: String, as authorization: Authorization = .none,
        body: [UInt8]? = nil,
        contentType: String = "application/json", headers: [String: String] = [:],
        timeout: Duration = .seconds(60)
    ) async throws -> Answer {
        var request = request(method, url, authorization, headers)
        if let body {
            request.headers.add(name: "Content-Type", value: contentType)
            request.body = .bytes(body)
        }
        let response = try await client.execute(request, timeout: .milliseconds(timeout.milliseconds))
        let collected = try await response.body.collect(upTo: 32 << 20)
        return Answer(
            status: Int(response.status.code),
            headers: Dictionary(
                response.headers.map { ($0.name.lowercased(), $0.value) },
                uniquingKeysWith: { first, _ in first }),
            body: Array(collected.readableBytesView))
    }

    /// Opens an answer that goes on for as long as anybody reads it.
    func open(
        _ url: String, as authorization: Authorization, headers: [String: String]
    ) async throws -> HTTPClientResponse {
        try await client.execute(request("GET", url, authorization, headers), deadline: .distantFuture)
    }

    private func request(
        _ method: String, _ url: String, _ authorization: Authorization, _ headers: [String: String]
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = HTTPMethod(rawValue: method)
        request.headers.add(name: "User-Agent", value: "martlet/\(Martlet.version)")
        switch authorization {
        case .none: break
        case .bearer(let key): request.headers.add(name: "Authorization", value: "Bearer \(key)")
        case .writeKey(let key):
            request.headers.add(
                name: "Authorization", value: "Basic " + Data("\(key):".utf8).base64EncodedString())
        }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        return request
    }

    /// Sends JSON.
    func send(
        _ method: String, _ url: String, as authorization: Authorization, json: JSON
    ) async throws -> Answer {
        try await send(method, url, as: authorization, body: Array(json.compact.utf8))
    }

    /// Sends until there is an answer that will not change by waiting: no answer, 408, 425, 429 and 5xx are
    /// tried again for ever, with growing pauses that honour `Retry-After`. `waiting` hears why.
    func sendUntilAnswered(
        _ method: String, _ url: String, as authorization: Authorization, body: [UInt8]? = nil,
        contentType: String = "application/json", headers: [String: String] = [:],
        waiting: @Sendable (String) -> Void
    ) async throws -> Answer {
        var pause = Duration.milliseconds(100)
        while true {
            var wanted: Duration?
            do {
                let answer = try await send(
                    method, url, as: authorization, body: body, contentType: contentType, headers: headers)
                guard answer.status >= 500 || [408, 425, 429].contains(answer.status) else { return answer }
                wanted = answer.headers["retry-after"].flatMap { Int($0) }.map { .seconds(min($0, 60)) }
                waiting("\(url) answered \(answer.problem)")
            } catch {
                try Task.checkCancellation()
                waiting("\(url) does not answer (\(error))")
            }
            try await Task.sleep(for: max(wanted ?? .zero, pause))
            pause = min(pause * 2, .seconds(5))
        }
    }
}
