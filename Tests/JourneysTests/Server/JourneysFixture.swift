import FoundationEssentials
import JourneysDomain
import JourneysServer
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport

/// The service with its database, stepped by hand: other services' streams are written by the test.
struct JourneysFixture {
    static let start = Instant(milliseconds: 1_790_000_000_000)

    let database: TestDatabase
    let clock: SimulatedClock
    let harness: ServiceHarness
    let owner: PostgresPool

    /// Profiles on two shards: `ada` and `bob` merge in tests.
    let ada = ProfileID(UUIDv7.derived(at: start, from: "ada"))
    let bob = ProfileID(UUIDv7.derived(at: start, from: "bob"))

    static func with(_ body: (JourneysFixture) async throws -> Void) async throws {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(
                service: .identity, migrations: [Migration(version: 1, name: "profiles", sql: profiles)]),
            Migrator(
                service: .segmentation, migrations: [Migration(version: 1, name: "stream", sql: memberships)]),
            Migrator(service: .journeys, migrations: journeysService.migrations),
        ])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        try await ServiceHarness.with(journeysService, database: database, clock: clock, workers: false) {
            try await body(JourneysFixture(database: database, clock: clock, harness: $0, owner: owner))
        }
        await owner.close()
    }

    /// The tables of the profile store that journeys read, and the streams.
    private static let profiles = """
        CREATE SCHEMA IF NOT EXISTS profiles;
        CREATE TABLE profiles.profile (
            shard smallint, profile_id uuid, canonical_id uuid NOT NULL, created_at timestamptz DEFAULT now(),
            updated_at timestamptz DEFAULT now(), erased_at timestamptz, PRIMARY KEY (shard, profile_id));
        CREATE TABLE profiles.trait (
            shard smallint, profile_id uuid, name text, value jsonb, occurred_at timestamptz, message_id text,
            source_id uuid, history jsonb, PRIMARY KEY (shard, profile_id, name));
        CREATE TABLE profiles.timeline (
            shard smallint, "offset" bigint, key text, recorded_at timestamptz, traceparent text, body text,
            profile_id uuid, occurred_at timestamptz, message_id text, PRIMARY KEY (shard, "offset"));
        GRANT USAGE ON SCHEMA profiles TO martlet_readers;
        GRANT SELECT ON ALL TABLES IN SCHEMA profiles TO martlet_readers;
        """

    private static let memberships = """
        CREATE TABLE segmentation.stream_memberships (
            shard smallint, "offset" bigint, key text, recorded_at timestamptz, traceparent text, body text,
            PRIMARY KEY (shard, "offset"));
        """

    // MARK: Facts

    func happen(_ facts: ProfileFact...) async throws {
        let now = clock.now
        try await owner.transaction { transaction in
            try await StreamWriter(.profileEvents).append(
                facts.map {
                    NewRecord(shard: Shard($0.profileID), key: $0.profileID.description, body: $0.json)
                }, at: now, in: transaction)
        }
        // What the real timeline has in columns.
        try await owner.execute(
            """
            UPDATE profiles.timeline SET profile_id = (body::jsonb->>'arrivedUnder')::uuid,
                occurred_at = (body::jsonb->'event'->>'timestamp')::timestamptz,
                message_id = body::jsonb->'event'->>'messageId'
            WHERE profile_id IS NULL
            """)
    }

    func event(
        _ name: String, _ id: String, of profile: ProfileID, under: ProfileID? = nil, at: Instant? = nil,
        _ properties: [String: JSON] = [:]
    ) -> ProfileFact {
        .event(
            profileID: profile, arrivedUnder: under ?? profile,
            event: RandomHistory.trackingEvent(name, id, at: at ?? clock.now, properties))
    }

    func merge(_ loser: ProfileID, into survivor: ProfileID) async throws {
        let id = MergeID(UUIDv7.derived(at: clock.now, from: "merge", loser.description))
        try await happen(
            .merge(profileID: survivor, merged: loser, mergeID: id, at: clock.now, cause: [:]),
            .mergedInto(profileID: loser, survivor: survivor, mergeID: id, at: clock.now))
    }

    /// Takes a merge back.
    @discardableResult
    func unmerge(_ split: ProfileID, from survivor: ProfileID) async throws -> MergeID {
        let id = MergeID(UUIDv7.derived(at: clock.now, from: "unmerge", split.description))
        try await happen(
            .unmerge(
                profileID: survivor, split: split, members: [split], mergeID: id, at: clock.now, cause: [:]),
            .unmergedFrom(
                profileID: split, former: survivor, members: [split], mergeID: id, at: clock.now))
        return id
    }

    func change(
        _ segment: String, _ change: MembershipChange.Change, of profile: ProfileID, evidence: JSON = [:],
        reason: MembershipChange.Reason = .event
    ) async throws {
        let body = MembershipChange(
            profileID: profile, segment: segment, change: change, at: clock.now, version: 1, reason: reason,
            evidence: evidence)
        try await tell(.changed(body))
    }

    /// Tells something of segments, as segmentation does.
    func tell(_ facts: MembershipFact...) async throws {
        let now = clock.now
        try await owner.transaction { transaction in
            try await StreamWriter(.memberships).append(
                facts.map {
                    NewRecord(shard: Shard($0.profileID), key: $0.profileID.description, body: $0.json)
                }, at: now, in: transaction)
        }
    }

    // MARK: Stepping

    func drain() async throws {
        for case let consumer as StreamConsumer in harness.running.parts.workers {
            try await consumer.drain()
        }
    }

    func sweep() async throws {
        for case let sweeper as DeadlineSweeper in harness.running.parts.workers { try await sweeper.sweep() }
    }

    /// Lets time pass, firing what is due at the end of it.
    func pass(_ duration: Duration) async throws {
        try await drain()
        clock.advance(by: duration)
        try await sweep()
    }

    // MARK: What came of it

    func put(_ yaml: String, as id: String = "cart", headers: [String: String] = [:]) async throws
        -> ServiceHarness.Answer
    {
        var headers = headers
        headers["Content-Type"] = "application/yaml"
        return try await harness.request(
            "PUT", "/v1/journeys/\(id)", body: Array(yaml.utf8), headers: headers)
    }

    func intents() async throws -> [SendIntent] {
        try await told().compactMap { if case .wanted(let intent) = $0.fact { intent } else { nil } }
    }

    /// Everything that was said of messages, with the key under which it was.
    func told() async throws -> [(key: String, fact: IntentFact)] {
        try await harness.published(.intents)
            .sorted { ($0.recordedAt, $0.shard, $0.offset) < ($1.recordedAt, $1.shard, $1.offset) }
            .map { ($0.key, try IntentFact(json: $0.body)) }
    }

    func corrections() async throws -> [IntentCorrection] {
        try await told().compactMap {
            if case .corrected(let correction) = $0.fact { correction } else { nil }
        }
    }

    func templates() async throws -> [String] { try await intents().map(\.template) }

    func instances(_ journey: String = "cart", query: String = "") async throws -> [JSON] {
        try await harness.request("GET", "/v1/journeys/\(journey)/instances\(query)").json["items"]?.array
            ?? []
    }

    func history(_ journey: String = "cart", query: String = "") async throws -> [JSON] {
        try await harness.request("GET", "/v1/journeys/\(journey)/history\(query)").json["items"]?.array ?? []
    }

    func count(_ table: String) async throws -> Int {
        try await owner.query("SELECT count(*) AS n FROM journeys.\(unsafe: table)").first?.get(
            "n", as: Int.self)
            ?? -1
    }
}
