import DeliveryServer
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport

/// A running delivery service with the real tables of identity, consent and journeys beside it, filled by the test
/// in their place. Ingestion, consent and recommendation are away: what is meant for them stays in the outbox.
struct DeliveryFixture: Sendable {
    let service: ServiceHarness
    let clock: SimulatedClock
    let owner: PostgresPool
    let outboxDirectory: URL

    static let start = Instant(milliseconds: 1_795_000_000_000)

    static func with<T>(
        _ settings: [String: String] = [:], _ body: (DeliveryFixture) async throws -> T
    ) async throws -> T {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: try migrations(of: "Identity")),
            Migrator(service: .consent, migrations: try migrations(of: "Consent")),
            Migrator(service: .journeys, migrations: try migrations(of: "Journeys")),
            Migrator(service: .delivery, migrations: deliveryService.migrations),
        ])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "martlet-mails-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let away = "http://127.0.0.1:9"
        return try await ServiceHarness.with(
            deliveryService, database: database, clock: clock,
            settings: [
                "MARTLET_OUTBOX_DIRECTORY": directory.path, "MARTLET_MAIL_FROM": "Shop <shop@example.com>",
            ]
            .merging(settings) { $1 },
            others: [
                .ingestion: away, .consent: away, .recommendation: away, .journeys: away, .identity: away,
            ]
        ) { service in
            let fixture = DeliveryFixture(
                service: service, clock: clock, owner: owner, outboxDirectory: directory)
            let value = try await body(fixture)
            await owner.close()
            return value
        }
    }

    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The migration files of a service that this test target does not link.
    private static func migrations(of service: String) throws -> [Migration] {
        try FileManager.default.contentsOfDirectory(
            at: repository.appending(path: "Services/\(service)/Server/Migrations"),
            includingPropertiesForKeys: nil
        )
        .filter { $0.pathExtension == "sql" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
        .map {
            Migration(
                resource: $0.deletingPathExtension().lastPathComponent, bytes: Array(try Data(contentsOf: $0))
            )
        }
    }

    // MARK: Facts

    func makeProfile(email: String? = nil, traits: [String: JSON] = [:], consent: Bool? = true) async throws
        -> ProfileID
    {
        let id = ProfileID(UUIDv7.make(at: clock.now))
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            VALUES (\(Shard(id)), \(id), \(id), \(clock.now), \(clock.now))
            """)
        if let identifier = Identifier(.email, email) {
            let place = IdentifierKey(secret: ServiceHarness.secret).place(of: identifier)
            try await owner.execute(
                """
                INSERT INTO profiles.identifier (shard, type, value_hash, value, profile_id, first_seen, last_seen)
                VALUES (\(place.shard), \(place.kind.rawValue), \(place.hash), \(identifier.value), \(id),
                    \(clock.now), \(clock.now))
                """)
        }
        for (name, value) in traits {
            try await owner.execute(
                """
                INSERT INTO profiles.trait (shard, profile_id, name, value, occurred_at, message_id, source_id)
                VALUES (\(Shard(id)), \(id), \(name), \(value), \(clock.now), 'm', \(UUID()))
                """)
        }
        if let consent { try await decide(consent, id) }
        return id
    }

    func decide(_ granted: Bool, _ profile: ProfileID) async throws {
        try await owner.execute(Self.decision(granted, profile, at: clock.now))
    }

    static func decision(_ granted: Bool, _ profile: ProfileID, at now: Instant) -> SQL {
        """
        INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
        VALUES (\(Shard(profile)), \(profile), 'marketing', \(granted ? "granted" : "withdrawn"), \(now), \(UUID()))
        ON CONFLICT (shard, profile_id, purpose) DO UPDATE
        SET state = excluded.state, at = excluded.at, ledger_entry = excluded.ledger_entry
        """
    }

    func merge(_ loser: ProfileID, into survivor: ProfileID) async throws {
        try await owner.execute(
            "UPDATE profiles.profile SET canonical_id = \(survivor) WHERE canonical_id = \(loser)")
    }

    /// Takes the merge of a single profile back, as identity does.
    func unmerge(_ split: ProfileID, from survivor: ProfileID) async throws -> MergeID {
        let id = MergeID(UUIDv7.make(at: clock.now))
        try await owner.transaction { transaction in
            try await transaction.execute(
                "UPDATE profiles.profile SET canonical_id = \(split) WHERE profile_id = \(split)")
            for profile in [split, survivor] {
                try await transaction.execute(
                    """
                    INSERT INTO profiles.unmerged_profile (shard, profile_id, merge_id, at)
                    VALUES (\(Shard(profile)), \(profile), \(id), \(clock.now))
                    """)
            }
        }
        return id
    }

    /// Follows the undoing of a merge, as consent does.
    func foldConsents(without id: MergeID) async throws {
        try await owner.execute(
            """
            INSERT INTO profiles.consent_unmerge (shard, profile_id, merge_id)
            SELECT shard, profile_id, merge_id FROM profiles.unmerged_profile WHERE merge_id = \(id)
            """)
    }

    func put(template id: String = "hello", html: String = "<p>Hi {{ profile.traits.name }}</p>") async throws
    {
        _ = try await service.request(
            "PUT", "/v1/templates/\(id)", json: ["subject": "Hello", "html": .string(html), "text": "Hi"])
    }

    /// Wants a mail sent, as journeys does, and returns the id of the intent.
    @discardableResult
    func want(
        _ profile: ProfileID, template: String = "hello", purpose: String = "marketing",
        variables: [String: JSON] = [:]
    ) async throws -> IntentID {
        let intent = SendIntent(
            intentID: IntentID(UUIDv7.make(at: clock.now)), journey: "welcome", journeyVersion: 1,
            instanceID: InstanceID(UUIDv7.make(at: clock.now)), step: "first", profileID: profile,
            template: template, purpose: purpose, variables: variables, at: clock.now)
        try await append(intent)
        return intent.intentID
    }

    func append(_ intent: SendIntent) async throws {
        try await say(.wanted(intent), under: intent.profileID)
    }

    /// Says something of intents that were told under a profile, as journeys do, in one transaction.
    func say(_ facts: IntentFact..., under profile: ProfileID) async throws {
        _ = try await owner.transaction { transaction in
            try await StreamWriter(.intents).append(
                facts.map {
                    NewRecord(shard: Shard(profile), key: profile.description, body: $0.json)
                },
                at: clock.now, in: transaction)
        }
    }

    // MARK: What came of it

    /// The message of an intent in one of the states, as soon as it is in one.
    func message(_ intent: IntentID, in states: String...) async throws -> JSON {
        try await eventually {
            let rows = try await owner.query(
                "SELECT message_id, state FROM delivery.message WHERE intent_id = \(intent)")
            guard let row = rows.first, states.contains(try row.get("state")) else { return nil }
            return try await service.request(
                "GET", "/v1/messages/\(try row.get("message_id", as: UUID.self))"
            ).json
        }
    }

    /// Looks each time that the service announces a change, until there is something to see.
    func eventually<T>(_ look: () async throws -> T?) async throws -> T {
        let changes = owner.listen(["outbox_delivery", "deadline_delivery", "delivery_queue"])
        for await _ in changes {
            if let found = try await look() { return found }
        }
        throw CancellationError()
    }

    /// Everything on its way to ingestion, by event name.
    func events(_ name: String) async throws -> [JSON] {
        try await calls(to: .ingestion).flatMap { $0["batch"]?.array ?? [] }.filter {
            $0["event"]?.string == name
        }
    }

    func calls(to service: ServiceName) async throws -> [JSON] {
        try await self.service.context.outbox.bodies(to: service, in: owner)
    }

    func file(_ message: JSON) throws -> String {
        let name = (message["messageId"]?.string ?? "") + ".eml"
        let text = String(
            decoding: try Data(contentsOf: outboxDirectory.appending(path: name)), as: UTF8.self)
        // Quoted-printable, as far as these tests need it.
        return text.replacing("=\r\n", with: "").replacing("=3D", with: "=")
    }

    /// The paths of the links in a mail that begin with `/t/…`.
    static func trackingPaths(_ mail: String) -> [String] {
        mail.matches(of: /http:\/\/127\.0\.0\.1:8107(\/t\/[ocu]\/[A-Za-z0-9_-]+(\.gif)?)/).map {
            String($0.1)
        }
    }
}
