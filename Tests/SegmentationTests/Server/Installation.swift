import Foundation
import Logging
import Models
import Postgres
import SegmentationDomain
import SegmentationServer
import ServiceKit
import Streams
import TestSupport
import Testing

/// Segmentation on a database of its own, its consumer, deadlines and backfill stepped by hand; and a hand that
/// writes the timeline as identity does.
struct Installation {
    let harness: ServiceHarness
    let clock: SimulatedClock
    let owner: PostgresPool

    static let start = Instant(milliseconds: 1_790_000_000_000)
    static let source = SourceID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "source"))
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// `settle` says how long after history was read in what was due back then waits.
    static func with(
        settle: String = "0s", _ body: (Installation) async throws -> Void
    ) async throws {
        // Identity owns the timeline that segmentation reads; its schema is taken from its own migrations.
        // Likewise what consent says.
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: try migrations(of: "Identity")),
            Migrator(service: .consent, migrations: try migrations(of: "Consent")),
            Migrator(service: .segmentation, migrations: segmentationService.migrations),
        ])
        let clock = SimulatedClock(start)
        let owner = database.pool()
        try await ServiceHarness.with(
            segmentationService, database: database, clock: clock, workers: false,
            settings: ["MARTLET_SEGMENTATION_SETTLE": settle]
        ) { harness in
            try await body(Installation(harness: harness, clock: clock, owner: owner))
        }
        await owner.close()
    }

    private static func migrations(of service: String) throws -> [Migration] {
        let folder = root.appending(path: "Services/\(service)/Server/Migrations")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.lastPathComponent < $1.lastPathComponent }.map { file in
            Migration(
                resource: file.deletingPathExtension().lastPathComponent,
                bytes: Array(try Data(contentsOf: file)))
        }
    }

    // MARK: Stepping

    func worker<Worker>(_ type: Worker.Type) throws -> Worker {
        try #require(harness.running.parts.workers.compactMap { $0 as? Worker }.first)
    }

    /// Lets every fact there is take effect.
    @discardableResult
    func drain() async throws -> Int { try await worker(StreamConsumer.self).drain() }

    /// Lets every decision about consent there is take effect.
    @discardableResult
    func drainConsents() async throws -> Int {
        let consumers = harness.running.parts.workers.compactMap { $0 as? StreamConsumer }
        return try await #require(consumers.first { $0.stream == .consents }).drain()
    }

    /// Tells the members of accounts what others in them said.
    func tellAccounts() async throws { try await worker(AccountWorker.self).drain() }

    /// Fires what is due.
    @discardableResult
    func sweep() async throws -> Int { try await worker(DeadlineSweeper.self).sweep() }

    func backfill() async throws { try await worker(BackfillWorker.self).drain() }

    // MARK: Definitions

    @discardableResult
    func put(_ id: String, _ rule: JSON) async throws -> ServiceHarness.Answer {
        let answer = try await harness.request("PUT", "/v1/segments/\(id)", json: ["rule": rule])
        #expect((200...201).contains(answer.status), "\(answer.text)")
        return answer
    }

    @discardableResult
    func putScore(_ id: String, _ scoring: JSON) async throws -> ServiceHarness.Answer {
        let answer = try await harness.request("PUT", "/v1/scores/\(id)", json: scoring)
        #expect((200...201).contains(answer.status), "\(answer.text)")
        return answer
    }

    @discardableResult
    func putStages(_ stages: [(id: String, rule: JSON)]) async throws -> ServiceHarness.Answer {
        let list = stages.map { JSON.object(["id": .string($0.id), "rule": $0.rule]) }
        let answer = try await harness.request("PUT", "/v1/stages", json: ["stages": .array(list)])
        #expect(answer.status == 200, "\(answer.text)")
        return answer
    }

    /// Brings a consent policy into force, as the consent service does.
    func putPolicy(_ policy: JSON) async throws {
        try await owner.execute(
            """
            INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by)
            SELECT max(version) + 1, \(policy.compact), \(policy.compact), \(clock.now), 'test'
            FROM profiles.consent_policy
            """)
    }

    // MARK: Facts

    static func profile(_ name: String) -> ProfileID {
        ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile", name))
    }

    static func track(
        _ name: String, at instant: Instant, id: String? = nil, properties: [String: JSON] = [:]
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: id ?? "\(name)@\(instant.milliseconds)", kind: .track, name: name, timestamp: instant,
            receivedAt: max(instant, start), sourceID: source, properties: properties)
    }

    /// Makes profiles known, as identity does before it writes facts of them.
    func know(_ profiles: [ProfileID]) async throws {
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            SELECT w.shard, w.id, w.id, \(clock.now), \(clock.now)
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
            ON CONFLICT DO NOTHING
            """)
    }

    /// Appends events to the timeline of a profile.
    func append(_ events: [TrackingEvent], to profile: ProfileID, under: ProfileID? = nil) async throws {
        try await know([profile, under ?? profile])
        try await append(
            events.map { .event(profileID: profile, arrivedUnder: under ?? profile, event: $0) })
    }

    /// Who a fact says is erased is so, unless identity knows better.
    func append(_ facts: [ProfileFact], erasing isErased: Bool = true) async throws {
        let now = clock.now
        for case .erased(let profile, let at) in facts where isErased {
            try await owner.execute(
                "UPDATE profiles.profile SET erased_at = \(at) WHERE profile_id = \(profile)")
        }
        try await owner.transaction { transaction in
            let shards = facts.map { Shard($0.profileID) }
            var next = try await StreamWriter(.profileEvents).reserve(
                Dictionary(shards.map { ($0, 1) }, uniquingKeysWith: +), in: transaction)
            for (shard, fact) in zip(shards, facts) {
                let offset = next[shard] ?? 1
                next[shard] = offset + 1
                var arrived = fact.profileID
                var type = fact.kind.rawValue
                var name: String?
                if case .event(_, let under, let event) = fact {
                    (arrived, type, name) = (under, event.kind.rawValue, event.name)
                }
                try await transaction.execute(
                    """
                    INSERT INTO profiles.timeline
                        (shard, "offset", key, recorded_at, body, profile_id, occurred_at, type, name)
                    VALUES (\(shard), \(offset), \(fact.profileID.description), \(now), \(fact.json.compact),
                            \(arrived), \(fact.at), \(type), \(name))
                    """)
            }
        }
    }

    /// Records a decision about a purpose and tells of it, as the consent service does; `isTold` is false where it tells
    /// nobody.
    func decide(
        _ state: ConsentChange.State, _ purpose: String, by profile: ProfileID, at instant: Instant,
        isTold: Bool = true
    ) async throws {
        try await know([profile])
        let entry = UUIDv7.derived(at: instant, from: profile.description, purpose, state.rawValue)
        let change = ConsentChange(
            profileID: profile, purpose: purpose, state: state, at: instant, source: "form",
            ledgerEntry: entry.uuidString.lowercased())
        let now = clock.now
        try await owner.transaction { transaction in
            try await transaction.execute(
                """
                INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
                VALUES (\(Shard(profile)), \(profile), \(purpose), \(state.rawValue), \(instant), \(entry))
                ON CONFLICT (shard, profile_id, purpose) DO UPDATE
                SET state = excluded.state, at = excluded.at, ledger_entry = excluded.ledger_entry
                """)
            guard isTold else { return }
            try await StreamWriter(.consents).append(
                [NewRecord(shard: Shard(profile), key: profile.description, body: change.json)], at: now,
                in: transaction)
        }
    }

    /// Takes away what stands about consent, as the consent service does without telling.
    func forgetConsent(of profile: ProfileID) async throws {
        try await owner.execute("DELETE FROM profiles.consent_state WHERE profile_id = \(profile)")
    }

    /// Notes that consent has followed an undone merge of a profile, as the consent service does.
    func consentFollowed(_ profiles: [ProfileID]) async throws {
        try await owner.execute(
            """
            INSERT INTO profiles.consent_unmerge (shard, profile_id, merge_id)
            SELECT w.shard, w.id, m.merge_id
            FROM unnest(\(profiles.map { Shard($0) })::smallint[], \(profiles)::uuid[]) AS w (shard, id)
            CROSS JOIN profiles.merge m WHERE m.undone_at IS NOT NULL
            """)
    }

    /// Merges one profile into another, as identity does.
    func merge(_ loser: ProfileID, into survivor: ProfileID) async throws {
        let mergeID = MergeID(UUIDv7.make(at: clock.now))
        try await know([loser, survivor])
        try await owner.execute(
            """
            INSERT INTO profiles.merge (shard, merge_id, survivor_id, merged_id, at, cause)
            VALUES (\(Shard(survivor)), \(mergeID), \(survivor), \(loser), \(clock.now), '{}')
            """)
        try await owner.execute(
            "UPDATE profiles.profile SET canonical_id = \(survivor) WHERE canonical_id = \(loser)")
        try await append([
            .merge(profileID: survivor, merged: loser, mergeID: mergeID, at: clock.now, cause: [:]),
            .mergedInto(profileID: loser, survivor: survivor, mergeID: mergeID, at: clock.now),
        ])
    }

    /// Takes the merge of a profile back, as identity does: whoever was merged into it stays so.
    func unmerge(_ split: ProfileID, from survivor: ProfileID) async throws {
        let mergeID: MergeID? = try await owner.query(
            """
            UPDATE profiles.merge SET undone_at = \(clock.now)
            WHERE merged_id = \(split) AND survivor_id = \(survivor) AND undone_at IS NULL RETURNING merge_id
            """
        ).first?.get("merge_id")
        let id = try #require(mergeID)
        let members: [ProfileID] = try await owner.query(
            """
            WITH RECURSIVE member (id) AS (
                SELECT \(split)::uuid
                UNION
                SELECT e.merged_id FROM member m
                JOIN profiles.merge e ON e.survivor_id = m.id AND e.undone_at IS NULL
            )
            SELECT id FROM member ORDER BY id
            """
        ).map { try $0.get("id") }
        try await owner.execute(
            "UPDATE profiles.profile SET canonical_id = \(split) WHERE profile_id = ANY(\(members)::uuid[])")
        try await append([
            .unmerge(
                profileID: survivor, split: split, members: members, mergeID: id, at: clock.now, cause: [:]),
            .unmergedFrom(
                profileID: split, former: survivor, members: members, mergeID: id, at: clock.now),
        ])
    }

    /// Erases profiles of one person, the first of which is who they are now, as identity does: what stands in the
    /// timeline of them says so instead.
    func erase(_ members: [ProfileID]) async throws {
        let now = clock.now
        try await owner.execute(
            "UPDATE profiles.profile SET erased_at = \(now) WHERE profile_id = ANY(\(members)::uuid[])")
        try await owner.execute(
            """
            UPDATE profiles.timeline
            SET body = json_build_object(
                    'kind', 'erased', 'profileId', profile_id, 'at', \(now.rfc3339)::text)::text,
                type = 'erased', name = NULL, message_id = NULL, occurred_at = \(now)
            WHERE profile_id = ANY(\(members)::uuid[])
                AND type NOT IN ('merge', 'mergedInto', 'unmerge', 'unmergedFrom', 'erased')
            """)
        guard let person = members.first else { return }
        try await append([.erased(profileID: person, at: now)])
    }

    // MARK: Looking

    /// The ids of a segment's members.
    func members(_ segment: String) async throws -> Set<ProfileID> {
        let rows = try await owner.query(
            "SELECT profile_id FROM profiles.membership WHERE segment = \(segment)")
        return Set(try rows.map { try $0.get("profile_id") })
    }

    /// The changes on the stream, in the order of their appending within each shard.
    func changes(of segment: String? = nil) async throws -> [MembershipChange] {
        try await harness.published(.memberships)
            .compactMap {
                if case .changed(let change) = try MembershipFact(json: $0.body) { change } else { nil }
            }
            .filter { segment == nil || $0.segment == segment }
    }

    /// In which stage everybody is, by the table.
    func stages() async throws -> [ProfileID: String] {
        let rows = try await owner.query("SELECT profile_id, stage FROM profiles.stage")
        return Dictionary(
            uniqueKeysWithValues: try rows.map { (try $0.get("profile_id"), try $0.get("stage")) })
    }

    /// The moves from stage to stage, in the order of their appending within each shard.
    func moves() async throws -> [StageChange] {
        try await harness.published(.memberships).compactMap {
            if case .stage(let change) = try MembershipFact(json: $0.body) { change } else { nil }
        }
    }

    /// Those of one profile in short: `none > decision event 0`.
    func journey(of profile: ProfileID) async throws -> [String] {
        try await moves().filter { $0.profileID == profile }.map {
            "\($0.previous ?? "none") > \($0.stage ?? "none") \($0.reason) "
                + "\($0.at.milliseconds - Self.start.milliseconds)"
        }
    }

    /// What was told of undone merges, by profile.
    func histories() async throws -> [ProfileID: MembershipHistory] {
        let told = try await harness.published(.memberships).compactMap {
            if case .unmerged(let history) = try MembershipFact(json: $0.body) { history } else { nil }
        }
        return Dictionary(told.map { ($0.profileID, $0) }, uniquingKeysWith: { $1 })
    }

    /// The changes in short: `entered event 1790000000000`.
    func story(of segment: String, _ profile: ProfileID? = nil) async throws -> [String] {
        try await changes(of: segment).filter { profile == nil || $0.profileID == profile }
            .map { "\($0.change) \($0.reason) \($0.at.milliseconds - Self.start.milliseconds)" }
    }
}
