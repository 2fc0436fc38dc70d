package import Logging
package import Models
package import Postgres
package import Sealing
package import ServiceLifecycle
package import Streams

/// What makes a service: its name, what it stores and publishes, and how it is put together.
package struct ServiceDefinition: Sendable {
    package let name: ServiceName
    package let migrations: [Migration]
    /// The text of `openapi/<service>.yaml`.
    package let openAPI: [UInt8]
    package let published: [StreamDefinition]
    /// Further NOTIFY channels that the service's workers wait on through ``ServiceContext/hub``.
    package let channels: [String]
    /// The audit logs that it shows and signs the ends of; its own first.
    package let auditLogs: [AuditLog]
    package let build: @Sendable (ServiceContext) async throws -> ServiceParts

    package init(
        name: ServiceName, migrations: [Migration], openAPI: [UInt8], published: [StreamDefinition] = [],
        channels: [String] = [], auditLogs: [AuditLog] = [],
        build: @escaping @Sendable (ServiceContext) async throws -> ServiceParts
    ) {
        self.name = name
        self.migrations = migrations
        self.openAPI = openAPI
        self.published = published
        self.channels = channels
        self.auditLogs = [AuditLog(of: name)] + auditLogs
        self.build = build
    }
}

/// The parts of a running service beside what all have.
package struct ServiceParts: Sendable {
    package let routes: @Sendable (ServiceRouter) -> Void
    package let workers: [any Service]
    package let privacy: PrivacyHandler?
    /// What is kept for a time that the retention policy says.
    package let retention: RetentionTasks?

    package init(
        routes: @escaping @Sendable (ServiceRouter) -> Void, workers: [any Service] = [],
        privacy: PrivacyHandler? = nil, retention: RetentionTasks? = nil
    ) {
        self.routes = routes
        self.workers = workers
        self.privacy = privacy
        self.retention = retention
    }
}

/// What a service is given to build itself from.
package struct ServiceContext: Sendable {
    package let name: ServiceName
    package let settings: ServiceSettings
    package let logger: Logger
    package let pool: PostgresPool
    package let clock: ServiceClock
    package let hub: WakeHub
    package let reader: any StreamReader
    package let http: ServiceHTTPClient
    package let tokens: ServiceTokens
    /// What the service seals with whatever it keeps that is personal.
    package let vault: Vault

    package init(
        name: ServiceName, settings: ServiceSettings, logger: Logger, pool: PostgresPool, clock: ServiceClock,
        hub: WakeHub, reader: any StreamReader, http: ServiceHTTPClient, tokens: ServiceTokens, vault: Vault
    ) {
        self.name = name
        self.settings = settings
        self.logger = logger
        self.pool = pool
        self.clock = clock
        self.hub = hub
        self.reader = reader
        self.http = http
        self.tokens = tokens
        self.vault = vault
    }

    /// Durable calls to other services.
    package var outbox: Outbox { Outbox(schema: name.schema, vault: vault) }

    /// A consumer of a stream under a name of this service's own.
    package func consumer(
        name consumer: String? = nil, of stream: StreamDefinition, batch: Int = 500,
        lanes: Int = 1,
        process: @escaping StreamConsumer.Process, giveUp: StreamConsumer.GiveUp? = nil
    ) -> StreamConsumer {
        let clock = clock
        return StreamConsumer(
            name: consumer ?? name.rawValue, stream: stream, reader: reader, pool: pool, schema: name.schema,
            batch: batch, lanes: lanes, now: { try await clock.now() }, vault: vault, logger: logger,
            process: process,
            giveUp: giveUp)
    }

    /// A sweeper of the service's `deadline` table, which lets the facts of the consumers go first.
    package func sweeper(
        after consumers: [StreamConsumer], fire: @escaping DeadlineSweeper.Fire
    ) -> DeadlineSweeper {
        let clock = clock
        return DeadlineSweeper(
            schema: name.schema, pool: pool, hub: hub, now: { try await clock.now() },
            advancesByItself: clock.advancesByItself, after: consumers, logger: logger, fire: fire)
    }

    /// To be called in each transaction that writes a deadline.
    package func notifyDeadline(in transaction: PostgresTransaction) async throws {
        try await DeadlineSweeper.notify(schema: name.schema, in: transaction)
    }
}
