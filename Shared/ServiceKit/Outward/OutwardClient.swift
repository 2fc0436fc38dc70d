import AsyncHTTPClient
import Models
import NIOCore
import NIOHTTP1

/// Posts to URLs that somebody outside has named, and to nothing but what the rule permits.
///
/// The name is resolved here, each of its addresses is checked, and the connection goes to exactly a checked one, while
/// TLS and `Host` keep the name: a name that leads elsewhere a moment later changes nothing. Redirects are not followed,
/// proxies not asked, and of the answer only its status and `Retry-After` are kept.
package struct OutwardClient: Sendable {
    /// What came back.
    package enum Answer: Hashable, Sendable {
        case status(Int, retryAfter: String?)
        case failure(Failure)
    }

    /// Why nothing came back.
    package enum Failure: String, Error, Hashable, Sendable {
        /// The host leads to an address that may not be called.
        case forbiddenAddress
        /// The host leads nowhere.
        case unresolvable
        /// No connection could be made, or TLS failed.
        case unreachable
        /// The answer didn't come in time.
        case timeout
        /// The connection broke, or what came was no HTTP.
        case broken
        /// The URL is plain http, which is not allowed.
        case insecure
    }

    /// Bytes of an answer's body that are read before the connection is closed.
    private static let mostAnswerBytes = 64 << 10
    /// Addresses of one name that are tried.
    private static let mostAddresses = 3

    private let rule: AddressRule
    private let allowsHTTP: Bool
    private let resolver: HostResolver
    private let connectTimeout: Duration
    private let timeout: Duration
    private let connections = PinnedConnections()

    /// `timeout` is that of an attempt as a whole, from looking up the name to the end of the answer.
    package init(
        rule: AddressRule, allowsHTTP: Bool, resolver: HostResolver = .system,
        connectTimeout: Duration = .seconds(5), timeout: Duration = .seconds(20)
    ) {
        self.rule = rule
        self.allowsHTTP = allowsHTTP
        self.resolver = resolver
        self.connectTimeout = connectTimeout
        self.timeout = timeout
    }

    /// The addresses that a URL leads to, all of them permitted.
    package func addresses(of url: OutwardURL) async throws(Failure) -> [IPAddress] {
        guard url.isSecure || allowsHTTP else { throw .insecure }
        let addresses: [IPAddress]
        switch url.host {
        case .address(let address): addresses = [address]
        case .name(let name): addresses = await lookUp(name)
        }
        guard !addresses.isEmpty else { throw .unresolvable }
        // One that leads both inside and outside is an attempt, or a mistake, in either case.
        guard addresses.allSatisfy(rule.permits) else { throw .forbiddenAddress }
        return addresses
    }

    /// Posts a body once.
    package func post(_ body: [UInt8], to url: OutwardURL, headers: [(String, String)]) async -> Answer {
        await limited(to: timeout, else: .failure(.timeout)) {
            do throws(Failure) {
                var failure = Failure.unresolvable
                for address in try await addresses(of: url).prefix(Self.mostAddresses) {
                    let answer = await post(body, to: url, at: address, headers: headers)
                    guard case .failure(.unreachable) = answer else { return answer }
                    failure = .unreachable
                }
                return .failure(failure)
            } catch {
                return .failure(error)
            }
        }
    }

    private func lookUp(_ name: String) async -> [IPAddress] {
        let resolver = resolver
        return await limited(to: connectTimeout, else: []) { await resolver.addresses(name) }
    }

    private func post(
        _ body: [UInt8], to url: OutwardURL, at address: IPAddress, headers: [(String, String)]
    ) async -> Answer {
        let key = PinnedConnections.Key(
            isSecure: url.isSecure, host: url.hostText, port: url.port, address: address)
        let connection = connections.connection(key) { configuration(for: url, at: address) }
        return await post(body, to: url, headers: headers, with: connection)
    }

    private func post(
        _ body: [UInt8], to url: OutwardURL, headers: [(String, String)],
        with connection: PinnedConnection, isSecondTry: Bool = false
    ) async -> Answer {
        var request = HTTPClientRequest(url: url.description)
        request.method = .POST
        request.body = .bytes(body)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        do {
            let response = try await connection.client.execute(
                request, timeout: .milliseconds(timeout.milliseconds))
            var count = 0
            for try await part in response.body {
                count += part.readableBytes
                if count > Self.mostAnswerBytes { break }
            }
            return .status(Int(response.status.code), retryAfter: response.headers.first(name: "retry-after"))
        } catch let error as HTTPClientError {
            switch error {
            case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout:
                return .failure(.unreachable)
            case .deadlineExceeded, .readTimeout, .cancelled: return .failure(.timeout)
            // The receiver closed a connection that it had kept open, at the moment when it was used again.
            case .remoteConnectionClosed where !isSecondTry:
                return await post(body, to: url, headers: headers, with: connection, isSecondTry: true)
            default: return .failure(.broken)
            }
        } catch is CancellationError {
            return .failure(.timeout)
        } catch is NotTheCheckedAddress {
            return .failure(.forbiddenAddress)
        } catch {
            // Refused connections, certificates that are not good, and whatever else there is below HTTP.
            return .failure(error is HTTPParserError ? .broken : .unreachable)
        }
    }

    /// What leads to one address alone.
    private func configuration(for url: OutwardURL, at address: IPAddress) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.decompression = .disabled
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .milliseconds(connectTimeout.milliseconds)
        configuration.timeout.read = .milliseconds(timeout.milliseconds)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 16
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.dnsOverride = [url.hostText: address.description]
        // The override is matched by text. Should it ever miss, this ends the connection before a byte is sent.
        configuration.http1_1ConnectionDebugInitializer = { channel in
            let isChecked = channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) } == address
            return isChecked
                ? channel.eventLoop.makeSucceededVoidFuture()
                : channel.eventLoop.makeFailedFuture(NotTheCheckedAddress())
        }
        return configuration
    }

    private struct NotTheCheckedAddress: Error {}
}

/// The value of `body`, or `fallback` when it takes longer than that; what is left of it is cancelled.
private func limited<Value: Sendable>(
    to duration: Duration, else fallback: Value, _ body: @escaping @Sendable () async -> Value
) async -> Value {
    let (values, found) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: .bufferingOldest(1))
    // Not children: who waits for a name that a resolver never answers would wait with it.
    let work = Task { found.yield(await body()) }
    let timer = Task {
        try? await Task.sleep(for: duration)
        found.yield(fallback)
    }
    defer {
        work.cancel()
        timer.cancel()
    }
    return await withTaskCancellationHandler {
        await values.first { _ in true } ?? fallback
    } onCancel: {
        found.finish()
    }
}
