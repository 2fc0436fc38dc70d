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
    static func with<T>(
        consent: Bool = false, _ body: (IdentityDatabase) async throws -> T
    ) async throws -> T {
        let consents = consent ? [Migrator(service: .consent, migrations: try consentMigrations())] : []
        let database = try await TestDatabase.make(
            [
                Migrator(schema: "platform", migrations: Schema.platformMigrations),
                Migrator(service: .ingestion, migrations: [events]),
                Migrator(service: .identity, migrations: identityService.migrations),
            ] + consents)
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

    /// What consent says, whose schema is taken from its own files.
    private static func consentMigrations() throws -> [Migration] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../../Services/Consent/Server/Migrations")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.lastPathComponent < $1.lastPathComponent }.map { file in
            Migration(
                resource: file.deletingPathExtension().lastPathComponent,
                bytes: Array(try Data(contentsOf: file)))
        }
    }

    /// Brings a consent policy into force, as the consent service does.
    func putPolicy(_ policy: JSON) async throws {
        try await owner.execute(
            """
            INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by)
            SELECT max(version) + 1, \(policy.compact), \(policy.compact), \(start), 'test'
            FROM profiles.consent_policy
            """)
    }

    /// Records what somebody decided, as the consent service does.
    func decide(
        _ state: ConsentChange.State, _ purpose: String, by profile: ProfileID, at instant: Instant,
        in session: (any PostgresSession)? = nil
    ) async throws {
        let entry = UUIDv7.derived(at: instant, from: profile.description, purpose, state.rawValue)
        let statement: SQL = """
            INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
            VALUES (\(Shard(profile)), \(profile), \(purpose), \(state.rawValue), \(instant), \(entry))
            ON CONFLICT (shard, profile_id, purpose) DO UPDATE
            SET state = excluded.state, at = excluded.at, ledger_entry = excluded.ledger_entry
            """
        if let session { try await session.execute(statement) } else { try await owner.execute(statement) }
    }

    /// Who a user is.
    func profile(ofUser id: String) async throws -> ProfileID {
        let place = Self.key.place(of: Identifier(.userID, normalised: id))
        let found: ProfileID? = try await owner.query(
            """
            SELECT p.canonical_id FROM profiles.identifier i JOIN profiles.profile p USING (profile_id)
            WHERE i.shard = \(place.shard) AND i.value_hash = \(place.hash)
            """
        ).first?.get("canonical_id")
        guard let found else { throw PostgresError.decoding(column: "user", message: "\(id) is nobody") }
        return found
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
