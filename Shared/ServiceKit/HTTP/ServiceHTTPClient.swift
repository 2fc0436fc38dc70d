package import AsyncHTTPClient
import Foundation
package import Models
import NIOCore
import NIOHTTP1
import Streams

/// Calls other services of the installation with a short-lived token.
package struct ServiceHTTPClient: Sendable {
    /// An answer: its status and its body.
    package struct Answer: Sendable {
        package let status: Int
        package let headers: [String: String]
        package let body: [UInt8]

        /// The body as JSON; nil when it is not.
        package var json: JSON? { try? JSONParser.parse(body[...]) }
    }

    private let client: HTTPClient
    private let caller: ServiceName
    private let tokens: ServiceTokens
    private let directory: @Sendable (ServiceName) -> String
    private let maximumAnswerBytes = 32 << 20

    package init(
        client: HTTPClient, caller: ServiceName, tokens: ServiceTokens,
        directory: @escaping @Sendable (ServiceName) -> String
    ) {
        self.client = client
        self.caller = caller
        self.tokens = tokens
        self.directory = directory
    }

    /// Sends a request; throws ``RetryLater`` when the service is away or busy (connection, timeout, 429, 5xx),
    /// unless `acceptAnyStatus`. `path` starts with a slash and must hold no personal data.
    package func send(
        to service: ServiceName, method: String = "GET", path: String, body: [UInt8]? = nil,
        headers: [String: String] = [:], timeout: Duration = .seconds(10), acceptAnyStatus: Bool = true
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: directory(service) + path)
        request.method = HTTPMethod(rawValue: method)
        request.headers.add(name: "Authorization", value: "Bearer " + tokens.issue(from: caller, to: service))
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(body)
        }
        if let traceparent = TraceContext.traceparent {
            request.headers.add(name: "traceparent", value: traceparent)
        }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let answer: Answer
        do {
            let response = try await client.execute(request, timeout: .milliseconds(timeout.milliseconds))
            let collected = try await response.body.collect(upTo: maximumAnswerBytes)
            answer = Answer(
                status: Int(response.status.code),
                headers: Dictionary(
                    response.headers.map { ($0.name.lowercased(), $0.value) },
                    uniquingKeysWith: { first, _ in first }),
                body: Array(collected.readableBytesView))
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw RetryLater("\(service.rawValue) is away (\(type(of: error)))")
        }
        if !acceptAnyStatus, answer.status >= 500 || answer.status == 429 {
            throw RetryLater("\(service.rawValue) answered \(answer.status)")
        }
        return answer
    }

    /// Sends JSON and gets JSON; ``RetryLater`` when the service is away or busy.
    package func json(
        to service: ServiceName, method: String = "GET", path: String, body: JSON? = nil,
        headers: [String: String] = [:], timeout: Duration = .seconds(10)
    ) async throws -> (status: Int, json: JSON?) {
        let answer = try await send(
            to: service, method: method, path: path, body: body.map { Array($0.compact.utf8) },
            headers: headers,
            timeout: timeout, acceptAnyStatus: false)
        return (answer.status, answer.json)
    }
}
