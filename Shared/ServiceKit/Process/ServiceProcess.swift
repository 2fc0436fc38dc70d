import AsyncHTTPClient
import Foundation
import Hummingbird
package import Logging
import Models
import NIOCore
package import Postgres
import Sealing
package import ServiceLifecycle
package import Streams
import UnixSignals

/// Runs one service as a process: `serve` (the default), `migrate`, or `--help`.
package enum ServiceProcess {
    /// The whole of a service executable's `main`.
    package static func main(_ definition: ServiceDefinition) async {
        let arguments = CommandLine.arguments.dropFirst()
        let label = "martlet-\(definition.name.rawValue)"
        do {
            switch arguments.first {
            case nil, "serve": try await serve(definition)
            case "migrate": try await migrate(definition)
            case "--help", "-h", "help": write(help(label, definition.name), to: .standardOutput)
            case .some(let other):
                write(
                    "\(label): unknown command `\(other)`\n\n\(help(label, definition.name))",
                    to: .standardError)
                exit(64)
            }
        } catch {
            write("\(label): \(error)\n", to: .standardError)
            exit(1)
        }
    }

    private static func help(_ label: String, _ service: ServiceName) -> String {
        """
        USAGE: \(label) [serve | migrate]

          serve     answer requests and work until SIGTERM (the default)
          migrate   bring the service's schema up to date, under MARTLET_OWNER_DATABASE_URL

        Settings come from the environment, or from the JSON file that MARTLET_SETTINGS names. Durations are such as 90s,
        15m, 48h or 30d.

        \(SettingsHelp.text(of: service))
        EXAMPLE: MARTLET_DATABASE_URL=postgres://\(label.replacing("-", with: "_")):…@127.0.0.1:5432/martlet \\
                 MARTLET_SERVICE_SECRET_FILE=.martlet/service-secret \(label) serve

        """
    }

    // MARK: Migrating

    /// Applies the platform's migrations and the service's own, each once.
    package static func migrate(_ definition: ServiceDefinition) async throws {
        let settings = try await ServiceSettings()
        let logger = logger(definition.name, settings: settings)
        var postgres = try PostgresSettings(url: try settings.required("OWNER_DATABASE_URL"))
        postgres.maxConnections = 2
        let pool = PostgresPool(settings: postgres, logger: logger)
        let applied = try await Schema.migrate(definition, pool: pool)
        await pool.close()
        write(
            applied.isEmpty
                ? "\(definition.name.rawValue): up to date\n"
                : applied.map { "\(definition.name.rawValue): applied \($0)\n" }.joined(), to: .standardOutput
        )
    }

    // MARK: Serving

    private static func serve(_ definition: ServiceDefinition) async throws {
        PrometheusRegistry.bootstrap()
        OpenFiles.raiseLimit()
        let settings = try await ServiceSettings()
        let logger = logger(definition.name, settings: settings)
        var postgres = try PostgresSettings(url: try settings.required("DATABASE_URL"))
        postgres.maxConnections = try settings.int("DATABASE_CONNECTIONS", in: 2...200, default: 12)
        postgres.statementTimeout = try settings.duration("STATEMENT_TIMEOUT", default: .seconds(60))
        postgres.applicationName = "martlet-\(definition.name.rawValue)"
        postgres.searchPath = [definition.name.schema]
        let pool = PostgresPool(settings: postgres, logger: logger)
        let running = try await RunningService(
            definition, settings: settings, pool: pool, clock: try await clock(pool, logger: logger),
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: running.services.map { .init(service: $0) },
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger))
        logger.info("starting", metadata: ["address": "\(running.host):\(running.port)"])
        do { try await group.run() } catch {
            // A port that is taken is to be told, not that a client was left open.
            await running.close()
            throw error
        }
        await running.close()
        logger.info("stopped")
    }

    /// The installation's clock. PostgreSQL may come up after the service: it waits for it here.
    private static func clock(_ pool: PostgresPool, logger: Logger) async throws -> ServiceClock {
        var said = false
        while true {
            do { return try await .ofInstallation(pool) } catch let error as PostgresError
                where error.isTransient
            {
                if !said { logger.warning("waiting for PostgreSQL", metadata: ["error": "\(error)"]) }
                said = true
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    static func logger(_ name: ServiceName, settings: ServiceSettings) -> Logger {
        let level = settings.string("LOG_LEVEL").flatMap { Logger.Level(rawValue: $0.lowercased()) } ?? .info
        return Logger(label: name.rawValue) { JSONLogHandler(label: $0, level: level) }
    }

    private static func write(_ text: String, to handle: FileHandle) {
        try? handle.write(contentsOf: Data(text.utf8))
    }
}

/// Brings schemas up to date.
package enum Schema {
    /// The migrations of what all services share.
    package static let platformMigrations = [
        Migration(resource: "V0001_platform", bytes: PackageResources.V0001_platform_sql),
        Migration(resource: "V0002_profile_keys", bytes: PackageResources.V0002_profile_keys_sql),
        Migration(resource: "V0003_identifier_scope", bytes: PackageResources.V0003_identifier_scope_sql),
        Migration(resource: "V0004_audit_log", bytes: PackageResources.V0004_audit_log_sql),
    ]

    /// Applies the platform's migrations, then the service's, and returns the names of those applied now.
    package static func migrate(_ definition: ServiceDefinition, pool: PostgresPool) async throws -> [String]
    {
        try await ServiceRoles.ensure(pool)
        let platform = try await migratePlatform(pool: pool)
        return try await platform
            + Migrator(service: definition.name, migrations: definition.migrations).migrate(pool)
    }

    /// Applies the platform's migrations alone.
    package static func migratePlatform(pool: PostgresPool) async throws -> [String] {
        try await Migrator(schema: "platform", migrations: platformMigrations).migrate(pool)
    }
}

/// One service put together: in its own process, or in a test beside others.
package final class RunningService: Sendable {
    package let host: String
    package let port: Int
    package let context: ServiceContext
    package let parts: ServiceParts
    package let routes: [ServiceRouter.Route]
    /// What it lets go of by the retention policy: its own, and the audit logs.
    package let retention: RetentionTasks
    /// What runs until shutdown; the HTTP server is last, so that it stops first.
    package let services: [any Service]
    private let client: HTTPClient

    package init(
        _ definition: ServiceDefinition, settings: ServiceSettings, pool: PostgresPool, clock: ServiceClock,
        logger: Logger, reader: (any StreamReader)? = nil,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws {
        host = settings.string("HOST") ?? "127.0.0.1"
        port = try settings.int("PORT", in: 0...65_535, default: definition.name.defaultPort)
        let tokens = try ServiceTokens(secret: try settings.secret("SERVICE_SECRET"))
        let limiter = RateLimiter(
            perSecond: try settings.int("RATE_LIMIT_PER_SECOND", in: 1...1_000_000, default: 20_000),
            burst: try settings.int("RATE_LIMIT_BURST", in: 1...1_000_000, default: 40_000),
            proxies: try settings.trustedProxies())
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(2)
        configuration.connectionPool.idleTimeout = .seconds(30)
        // Callers have retries of their own; a service that is away should be known to be so at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let directory: @Sendable (ServiceName) -> String = { settings.url(of: $0) }
        let name = definition.name
        let hub = WakeHub(
            pool: pool,
            channels: definition.published.map(\.channel) + definition.channels + [
                DeadlineSweeper.clockChannel, DeadlineSweeper.channel(schema: name.schema),
                Outbox.channel(schema: name.schema),
            ])
        let http = ServiceHTTPClient(client: client, caller: name, tokens: tokens, directory: directory)
        context = ServiceContext(
            name: name, settings: settings, logger: logger, pool: pool, clock: clock, hub: hub,
            reader: reader
                ?? HTTPStreamReader(client: client, directory: directory) {
                    "Bearer " + tokens.issue(from: name, to: $0)
                },
            http: http, tokens: tokens,
            vault: Vault(
                schema: name.schema, settings: pool.settings, keys: try settings.keyEncryptionKeys()))
        do {
            parts = try await definition.build(context)
        } catch {
            try? await client.shutdown()
            throw error
        }
        let audit = AuditRetention(
            logs: definition.auditLogs, signer: try ChainSigner(tokens: tokens), logger: logger)
        retention = { [own = parts.retention] current, now, pool in
            (try await own?(current, now, pool) ?? []) + audit.tasks(by: current, at: now)
        }
        let router = ServiceRouter()
        try OperationRoutes.add(to: router, definition: definition, context: context)
        parts.routes(router)
        routes = router.routes
        let control = AccessControl(service: name, tokens: tokens, pool: pool)
        let patience = try ClientPatience(settings)
        let connections = try settings.int(
            "MAX_CONNECTIONS", in: 1...1_000_000, default: OpenFiles.roomForConnections(most: 10_000))
        let edge = RequestEdge(routes: RouteTable(routes), logger: logger)
        let application = Application(
            router: router.build(
                control: control, limiter: limiter,
                disclosure: Disclosure(Pseudonyms(secret: try settings.identifierSecret())),
                trail: AuditTrail(AuditLog(of: name), pool: pool, clock: clock), edge: edge),
            server: router.server(limiter: limiter, edge: edge, patience: patience),
            configuration: .init(
                address: .hostname(host, port: port), serverName: "martlet",
                // Whoever is beyond them waits in the kernel's queue. Without a bound they would take every file
                // descriptor, also that of the next connection to the database, and accepting would spin.
                availableConnectionsDelegate: .maximum(connections, logger: logger)),
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) }, logger: logger)
        var services: [any Service] = [
            hub,
            OutboxWorker(
                schema: name.schema, pool: pool, hub: hub, http: http, vault: context.vault, logger: logger),
        ]
        if let directory = settings.string("LEDGER_HEADS_DIRECTORY") {
            for log in definition.auditLogs {
                services.append(
                    ChainExport(
                        signer: try ChainSigner(tokens: tokens),
                        file: URL(filePath: directory, directoryHint: .isDirectory)
                            .appending(path: "audit-heads-\(log.name).ndjson"), logger: logger
                    ) { try await AuditLogRoutes.heads(of: log, pool: pool, clock: clock) })
            }
        }
        services.append(RetentionWorker(context, tasks: retention))
        if let privacy = parts.privacy { services.append(PrivacyWorker.consumer(privacy, context: context)) }
        self.services = services + parts.workers + [application]
    }

    /// Lets go of connections after everything has stopped.
    package func close() async {
        try? await client.shutdown()
        await context.pool.close()
    }
}
