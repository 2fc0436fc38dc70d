import Foundation
import Logging
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport

@testable import IdentityServer

/// A database with identity's schema and a stream of events to follow.
struct IdentityDatabase {
    let database: TestDatabase
    /// With the rights of identity.
    let pool: PostgresPool
    let owner: PostgresPool
    var resolution: Resolution { Resolution(key: Self.key, vault: database.vault(of: .identity)) }
    var store: ProfileStore { ProfileStore(key: Self.key, vault: database.vault(of: .identity)) }

    static let key = IdentifierKey(secret: ServiceHarness.secret)

    /// Runs `body` with a fresh database.
    static func with<T>(_ body: (IdentityDatabase) async throws -> T) async throws -> T {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .ingestion, migrations: [events]),
            Migrator(service: .identity, migrations: identityService.migrations),
        ])
        let here = IdentityDatabase(
            database: database, pool: database.pool(as: .identity, maxConnections: 8), owner: database.pool())
        do {
            let value = try await body(here)
            await here.close()
            return value
        } catch {
            await here.close()
            throw error
        }
    }

    private func close() async {
        await pool.close()
        await owner.close()
    }

    private static let events = Migration(
        version: 1, name: "events",
        sql: """
            CREATE TABLE ingestion.stream_events (
                shard smallint NOT NULL, "offset" bigint NOT NULL, key text NOT NULL,
                recorded_at timestamptz NOT NULL, traceparent text, body text NOT NULL,
                PRIMARY KEY (shard, "offset"))
            """)

    /// Appends the events as ingestion does: by the strongest identifier, so that their order is known, or by the device.
    func publish(_ events: [TrackingEvent], byDevice: Bool = false) async throws {
        let records = events.map { event in
            let key = byDevice ? event.subjectKey : event.userID ?? event.anonymousID ?? event.messageID
            return NewRecord(shard: Shard(hashing: key), key: key, body: event.json)
        }
        try await owner.transaction { transaction in
            _ = try await StreamWriter(.events).append(records, at: start, in: transaction)
        }
    }

    /// The consumer of events, to be drained by hand. `pause` happens before a transaction commits.
    func consumer(
        batch: Int = 7, reader: (any StreamReader)? = nil, pause: @escaping @Sendable () async -> Void = {}
    ) -> StreamConsumer {
        consumer(batch: batch, reader: reader ?? DatabaseStreamReader(pool: owner)) {
            [resolution] batch, transaction in
            try await EventResolution(resolution: resolution).resolve(batch, in: transaction)
            await pause()
        }
    }

    /// The same, with effects of the caller's.
    func consumer(
        batch: Int, reader: any StreamReader, process: @escaping StreamConsumer.Process
    ) -> StreamConsumer {
        StreamConsumer(
            name: "identity", stream: .events, reader: reader, pool: pool, schema: "identity", batch: batch,
            now: { start + .hours(1) }, logger: Logger(label: "test"), process: process)
    }

    /// What an instance does about privacy requests.
    func privacy(reader: (any StreamReader)? = nil, at now: Instant = start) -> IdentityPrivacy {
        IdentityPrivacy(
            reading: ProfileReading(store: store, pool: pool),
            clock: SimulatedClock(now).serviceClock, events: consumer(reader: reader))
    }

    /// Every record of `profile-events`, shard by shard.
    func timeline() async throws -> [StreamRecord] {
        let everything = Dictionary(uniqueKeysWithValues: Shard.all.map { ($0, Int64(0)) })
        let vault = database.vault(of: .identity)
        return try await DatabaseStreamReader(pool: owner, vault: { _ in vault })
            .read(.profileEvents, after: everything, limit: 640_000, wait: .zero)
    }

    /// The canonical profile of each identifier.
    func people(_ identifiers: some Sequence<Identifier>) async throws -> [Identifier: ProfileID] {
        var people: [Identifier: ProfileID] = [:]
        for identifier in identifiers {
            people[identifier] = try await store.canonicalID(of: identifier, in: pool)
        }
        return people
    }
}
