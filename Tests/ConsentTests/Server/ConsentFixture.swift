import ConsentServer
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport

/// A running consent service with identity's real tables beside it, filled by the test in identity's place.
struct ConsentFixture: Sendable {
    let service: ServiceHarness
    let clock: SimulatedClock
    let owner: PostgresPool

    static let start = Instant(milliseconds: 1_700_000_000_000)

    /// `identity` says where identity answers; by default it is away.
    static func with<T>(
        identity: String = "http://127.0.0.1:9", settings: [String: String] = [:],
        _ body: (ConsentFixture) async throws -> T
    ) async throws -> T {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: try migrations(of: "Identity")),
            Migrator(service: .consent, migrations: consentService.migrations),
        ])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        return try await ServiceHarness.with(
            consentService, database: database, clock: clock, workers: false, settings: settings,
            others: [.identity: identity]
        ) { service in
            let value = try await body(ConsentFixture(service: service, clock: clock, owner: owner))
            await owner.close()
            return value
        }
    }

    /// The migration files of a service that this test target does not link.
    static func migrations(of service: String) throws -> [Migration] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Services/\(service)/Server/Migrations")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "sql" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map {
                Migration(
                    resource: $0.deletingPathExtension().lastPathComponent,
                    bytes: Array(try Data(contentsOf: $0)))
            }
    }

    func makeProfile() async throws -> ProfileID {
        let id = ProfileID(UUIDv7.make(at: clock.now))
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            VALUES (\(Shard(id)), \(id), \(id), \(clock.now), \(clock.now))
            """)
        return id
    }

    func know(_ identifier: Identifier, as profile: ProfileID) async throws {
        let place = IdentifierKey(secret: ServiceHarness.secret).place(of: identifier)
        try await owner.execute(
            """
            INSERT INTO profiles.identifier (shard, type, value_hash, value, profile_id, first_seen, last_seen)
            VALUES (\(place.shard), \(place.kind.rawValue), \(place.hash), \(identifier.value), \(profile),
                \(clock.now), \(clock.now))
            """)
    }

    /// Merges as identity does: the forest and the facts in one transaction.
    func merge(_ loser: ProfileID, into survivor: ProfileID) async throws {
        let id = MergeID(UUIDv7.make(at: clock.now))
        try await owner.transaction { transaction in
            try await transaction.execute(
                "UPDATE profiles.profile SET canonical_id = \(survivor) WHERE canonical_id = \(loser)")
            try await append(
                [
                    .merge(profileID: survivor, merged: loser, mergeID: id, at: clock.now, cause: [:]),
                    .mergedInto(profileID: loser, survivor: survivor, mergeID: id, at: clock.now),
                ], in: transaction)
        }
    }

    /// Takes the merge of a single profile back.
    func unmerge(_ split: ProfileID, from survivor: ProfileID) async throws {
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
            try await append(
                [
                    .unmerge(
                        profileID: survivor, split: split, members: [split], mergeID: id, at: clock.now,
                        cause: [:]),
                    .unmergedFrom(
                        profileID: split, former: survivor, members: [split], mergeID: id, at: clock.now),
                ], in: transaction)
        }
    }

    func append(_ facts: [ProfileFact]) async throws {
        try await owner.transaction { try await append(facts, in: $0) }
    }

    func append(_ facts: [ProfileFact], in transaction: PostgresTransaction) async throws {
        var next = try await StreamWriter(.profileEvents).reserve(
            Dictionary(grouping: facts, by: { Shard($0.profileID) }).mapValues(\.count), in: transaction)
        for fact in facts {
            let shard = Shard(fact.profileID)
            let offset = next[shard] ?? 1
            next[shard] = offset + 1
            try await transaction.execute(
                """
                INSERT INTO profiles.timeline (shard, "offset", key, recorded_at, body, profile_id, occurred_at, type)
                VALUES (\(shard), \(offset), \(fact.profileID.description), \(clock.now), \(fact.json.compact),
                    \(fact.profileID), \(fact.at), \(fact.kind.rawValue))
                """)
        }
    }

    func track(_ name: String, _ properties: [String: JSON] = [:], of profile: ProfileID, at: Instant? = nil)
        -> ProfileFact
    {
        .event(
            profileID: profile, arrivedUnder: profile,
            event: TrackingEvent(
                messageID: UUIDv7.make(at: clock.now).uuidString, kind: .track, name: name,
                timestamp: at ?? clock.now, receivedAt: clock.now,
                sourceID: SourceID(UUIDv7.make(at: clock.now)), properties: properties))
    }

    /// Lets the service read on until there is nothing more.
    func drain() async throws {
        for case let consumer as StreamConsumer in service.running.services { try await consumer.drain() }
    }

    /// The profiles of undone merges of which it is said that their decisions stand as they do without.
    func followed() async throws -> Set<ProfileID> {
        Set(
            try await owner.query(
                "SELECT profile_id FROM profiles.consent_unmerge JOIN profiles.unmerged_profile USING (shard, profile_id, merge_id)"
            )
            .map { try $0.get("profile_id") })
    }

    /// What stands for a profile, from its own row in the profile store.
    func standing(_ profile: ProfileID, _ purpose: String = "marketing") async throws -> String? {
        try await owner.query(
            """
            SELECT state FROM profiles.consent_state
            WHERE shard = \(Shard(profile)) AND profile_id = \(profile) AND purpose = \(purpose)
            """
        ).first?.get("state")
    }

    @discardableResult
    func decide(
        _ action: String, _ purpose: String = "marketing", of profile: ProfileID, at: Instant? = nil,
        key: String? = nil
    ) async throws -> ServiceHarness.Answer {
        var body: [String: JSON] = [
            "subject": ["profileId": .string(profile.description)], "purpose": .string(purpose),
            "action": .string(action), "source": "test",
        ]
        if let at { body["occurredAt"] = .string(at.rfc3339) }
        return try await service.request(
            "POST", "/v1/consents", json: .object(body), headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    /// The changes that were published, in no particular order of profiles.
    func changes() async throws -> [ConsentChange] {
        try await owner.query(
            "SELECT body FROM consent.stream_consents ORDER BY recorded_at, shard, \"offset\""
        )
        .map { try ConsentChange(json: $0.get("body", as: JSON.self)) }
    }
}
