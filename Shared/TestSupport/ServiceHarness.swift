import AsyncHTTPClient
import Foundation
import Logging
package import Models
import NIOCore
import NIOHTTP1
import Postgres
import Sealing
package import ServiceKit
import ServiceLifecycle
package import Streams

extension TestDatabase {
    /// A database with the platform's schema and those of the services, in the order given.
    package static func make(services: [ServiceDefinition]) async throws -> TestDatabase {
        try await make(
            [Migrator(schema: "platform", migrations: Schema.platformMigrations)]
                + services.map { Migrator(service: $0.name, migrations: $0.migrations) })
    }
}

/// A real service in this process, on a port of its own, with the test's database and clock.
package final class ServiceHarness: Sendable {
    /// An answer over HTTP.
    package struct Answer: Sendable {
        package let status: Int
        package let headers: [String: String]
        package let body: [UInt8]
        /// The body as JSON, `.null` when it is not.
        package var json: JSON { (try? JSONParser.parse(body[...])) ?? .null }
        package var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// How the caller shows who it is.
    package enum Credential: Sendable {
        case none
        /// A token of another service, which may do everything.
        case service(ServiceName)
        case bearer(String)
        case basic(user: String)
    }

    package static let secret = "a-secret-of-tests-that-is-long-enough-0123456789"

    package let baseURL: String
    package let running: RunningService
    let client: HTTPClient
    /// Has the process drain, as SIGTERM does.
    package let drain: @Sendable () async -> Void
    private let stop: @Sendable () async -> Void

    package var context: ServiceContext { running.context }
    package var routes: [ServiceRouter.Route] { running.routes }

    private init(
        baseURL: String, running: RunningService, client: HTTPClient,
        drain: @escaping @Sendable () async -> Void, stop: @escaping @Sendable () async -> Void
    ) {
        self.drain = drain
        self.baseURL = baseURL
        self.running = running
        self.client = client
        self.stop = stop
    }

    /// Runs `body` with the service up, and takes the service down after it.
    ///
    /// `workers: false` serves HTTP alone, for tests that step consumers with `drain()` and sweepers with
    /// `sweep()`. `others` says where other services answer. Streams are read straight from the database.
    package static func with<T>(
        _ definition: ServiceDefinition, database: TestDatabase, clock: SimulatedClock, workers: Bool = true,
        settings: [String: String] = [:], others: [ServiceName: String] = [:],
        _ body: (ServiceHarness) async throws -> T
    ) async throws -> T {
        let harness = try await start(
            definition, database: database, clock: clock, workers: workers, settings: settings, others: others
        )
        do {
            let value = try await body(harness)
            await harness.stop()
            return value
        } catch {
            await harness.stop()
            throw error
        }
    }

    private static func start(
        _ definition: ServiceDefinition, database: TestDatabase, clock: SimulatedClock, workers: Bool,
        settings: [String: String], others: [ServiceName: String]
    ) async throws -> ServiceHarness {
        var environment = [
            "MARTLET_SERVICE_SECRET": secret, "MARTLET_PORT": "0", "MARTLET_HOST": "127.0.0.1",
        ]
        for (name, url) in others { environment["MARTLET_\(name.rawValue.uppercased())_URL"] = url }
        environment.merge(settings) { $1 }
        var logger = Logger(label: "test-\(definition.name.rawValue)")
        logger.logLevel = .critical
        var own = database.settings(as: definition.name)
        own.searchPath = [definition.name.schema]
        let pool = PostgresPool(settings: own, logger: logger)
        let ownerPool = database.pool()
        let ownerHub = WakeHub(pool: ownerPool, channels: StreamDefinition.all.map(\.channel))
        let serviceSettings = try await ServiceSettings(environment: environment)
        let keys = try serviceSettings.keyEncryptionKeys()
        let vaults = Dictionary(
            uniqueKeysWithValues: ServiceName.allCases.map {
                ($0, Vault(schema: $0.schema, settings: database.settings(), keys: keys))
            })
        let fallback = Vault(schema: "platform", settings: database.settings(), keys: keys)
        let (ports, announce) = AsyncStream.makeStream(of: Int.self)
        let running = try await RunningService(
            definition, settings: serviceSettings, pool: pool,
            clock: clock.serviceClock,
            logger: logger,
            reader: DatabaseStreamReader(pool: ownerPool, hub: ownerHub) { vaults[$0] ?? fallback },
            onRunning: { announce.yield($0) })
        let wanted = workers ? running.services : Array(running.services.suffix(1))
        let group = ServiceGroup(
            configuration: .init(services: ([ownerHub] + wanted).map { .init(service: $0) }, logger: logger))
        let task = Task {
            defer { announce.finish() }
            try await group.run()
        }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else {
            try await task.value
            throw HarnessError.didNotStart
        }
        // Patient: a test machine may be busy with many other tests at the same time.
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(60)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        // An answer is what the service said, also when it sends the caller elsewhere.
        configuration.redirectConfiguration = .disallow
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        return ServiceHarness(
            baseURL: "http://127.0.0.1:\(port)", running: running, client: client,
            drain: { await group.triggerGracefulShutdown() }
        ) {
            await group.triggerGracefulShutdown()
            _ = try? await task.value
            await running.close()
            await ownerPool.close()
            try? await client.shutdown()
        }
    }

    /// The bodies of the calls to others that the service is to make, the oldest first.
    package func outboxBodies(pathContaining path: String = "") async throws -> [JSON] {
        try await context.outbox.bodies(pathContaining: path, in: context.pool)
    }

    /// What the service has published, by shard and offset.
    package func published(_ stream: StreamDefinition) async throws -> [StreamRecord] {
        let (vault, start) = (
            context.vault, Dictionary(uniqueKeysWithValues: Shard.all.map { ($0, Int64(0)) })
        )
        return try await DatabaseStreamReader(pool: context.pool, vault: { _ in vault })
            .read(stream, after: start, limit: 640_000, wait: .zero)
    }

    /// Sends a request and returns the answer, whatever its status.
    package func request(
        _ method: String, _ path: String, json: JSON? = nil, body: [UInt8]? = nil,
        headers: [String: String] = [:], as credential: Credential = .service(.console)
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        switch credential {
        case .none: break
        case .service(let name):
            request.headers.add(
                name: "Authorization", value: "Bearer " + context.tokens.issue(from: name, to: context.name))
        case .bearer(let token): request.headers.add(name: "Authorization", value: "Bearer " + token)
        case .basic(let user):
            request.headers.add(
                name: "Authorization", value: "Basic " + Data("\(user):".utf8).base64EncodedString())
        }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let bytes = body ?? json.map({ Array($0.compact.utf8) }) {
            if headers.keys.allSatisfy({ $0.lowercased() != "content-type" }) {
                request.headers.add(name: "Content-Type", value: "application/json")
            }
            request.body = .bytes(bytes)
        }
        let response = try await client.execute(request, timeout: .seconds(120))
        let collected = try await response.body.collect(upTo: 64 << 20)
        return Answer(
            status: Int(response.status.code),
            headers: Dictionary(
                response.headers.map { ($0.name.lowercased(), $0.value) },
                uniquingKeysWith: { first, _ in first }),
            body: Array(collected.readableBytesView))
    }
}

/// Why a harness failed.
package enum HarnessError: Error {
    case didNotStart
    /// A stream was asked for, and something else came.
    case answered(Int)
}
