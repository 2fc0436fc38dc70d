import ConsentServer
import DeliveryServer
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport
import Testing

/// Withdrawals against a broadcast to the same people, over two instances of delivery. `MARTLET_RACE_PEOPLE` has more of
/// them than the usual 300.
@Suite(
    "Withdrawals against a broadcast", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"),
    .timeLimit(.minutes(10)))
struct WithdrawalRaceTests {
    private static let people =
        ProcessInfo.processInfo.environment["MARTLET_RACE_PEOPLE"].flatMap { Int($0) } ?? 300
    private static let start = Instant(milliseconds: 1_795_000_000_000)
    private static let requests = 32

    /// Somebody in the race, and where their message stood when their withdrawal had been acknowledged.
    private struct Racer: Sendable {
        let profile: ProfileID
        let purpose: String
        let isRestricted: Bool
        var seen: String?
    }

    @Test("no send is recorded after a withdrawal was acknowledged, and each that isn't sent has its reason")
    func broadcast() async throws {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations),
            Migrator(service: .identity, migrations: try ConsentFixture.migrations(of: "Identity")),
            Migrator(service: .consent, migrations: consentService.migrations),
            Migrator(service: .journeys, migrations: try ConsentFixture.migrations(of: "Journeys")),
            Migrator(service: .delivery, migrations: deliveryService.migrations),
        ])
        let (clock, owner) = (SimulatedClock(Self.start), database.pool())
        let mails = FileManager.default.temporaryDirectory.appending(
            path: "martlet-race-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: mails) }
        let away = "http://127.0.0.1:9"
        let others = Dictionary(
            uniqueKeysWithValues: ServiceName.allCases.map { ($0, away) } as [(ServiceName, String)])
        let settings = ["MARTLET_OUTBOX_DIRECTORY": mails.path]
        try await ServiceHarness.with(
            consentService, database: database, clock: clock, workers: false, others: others
        ) { consent in
            try await ServiceHarness.with(
                deliveryService, database: database, clock: clock, settings: settings, others: others
            ) { delivery in
                try await ServiceHarness.with(
                    deliveryService, database: database, clock: clock, settings: settings, others: others
                ) { _ in
                    try await race(consent, delivery, clock, owner)
                }
            }
        }
        await owner.close()
    }

    private func race(
        _ consent: ServiceHarness, _ delivery: ServiceHarness, _ clock: SimulatedClock, _ owner: PostgresPool
    ) async throws {
        _ = try await delivery.request(
            "PUT", "/v1/templates/hello", json: ["subject": "Hello", "html": "<p>Hi</p>", "text": "Hi"])
        // Half may be written to until they object, and nothing is known of them; half have said yes.
        _ = try await consent.request(
            "PUT", "/v1/purposes/news",
            json: ["name": "News", "legalBasis": "legitimateInterest", "textVersion": "1"])
        let racers = try await racers(clock.now, owner)
        try await together(racers.filter { $0.purpose == "marketing" }) { racer in
            let answer = try await say("grant", racer, to: consent)
            #expect(answer.status == 201)
            return racer
        }
        clock.advance(by: .seconds(1))
        try await tell(racers, at: clock.now, owner)
        // Those whose turn to be sent comes last first, so that neither side has it won before it begins.
        let raced = try await together(racers.reversed()) { racer in
            // Every third asks not to be used at all instead of withdrawing.
            let answer =
                racer.isRestricted
                ? try await restrict(racer, by: consent) : try await say("withdraw", racer, to: consent)
            #expect(answer.status == 201)
            var racer = racer
            racer.seen = try await state(of: racer.profile, owner)?.state
            return racer
        }
        try await untilSettled(owner)
        var (sent, stopped) = (0, 0)
        for racer in raced {
            let last = try #require(try await state(of: racer.profile, owner))
            if last.state == "delivered" {
                sent += 1
                #expect(
                    racer.seen == "sending" || racer.seen == "delivered",
                    "sent although it was \(racer.seen ?? "not even queued") after the withdrawal of \(racer.purpose)"
                )
            } else {
                stopped += 1
                #expect(last.state == "suppressed")
                let refusal = racer.purpose == "news" ? "objected" : "consentWithdrawn"
                #expect(last.reason == (racer.isRestricted ? "restricted" : refusal))
            }
        }
        print("broadcast: \(sent) sent before the withdrawal, \(stopped) stopped by it")
        #expect(sent + stopped == Self.people)
        #expect(stopped > 0)
    }

    private func racers(_ now: Instant, _ owner: PostgresPool) async throws -> [Racer] {
        let racers = (0..<Self.people).map { number in
            Racer(
                profile: ProfileID(UUIDv7.make(at: now)), purpose: number % 2 == 0 ? "news" : "marketing",
                isRestricted: number % 3 == 0)
        }
        let key = IdentifierKey(secret: ServiceHarness.secret)
        let found = racers.compactMap { racer in
            Identifier(.email, "\(racer.profile)@example.org").map { (key.place(of: $0), $0.value) }
        }
        let ids = racers.map(\.profile)
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            SELECT shard, id, id, \(now)::timestamptz, \(now)::timestamptz
            FROM unnest(\(ids.map { Shard($0) })::smallint[], \(ids)::uuid[]) AS p (shard, id)
            """)
        try await owner.execute(
            """
            INSERT INTO profiles.identifier (shard, type, value_hash, value, profile_id, first_seen, last_seen)
            SELECT shard, 'email', hash, value, id, \(now)::timestamptz, \(now)::timestamptz
            FROM unnest(\(found.map(\.0.shard))::smallint[], \(found.map(\.0.hash))::bytea[],
                \(found.map(\.1))::text[], \(ids)::uuid[]) AS i (shard, hash, value, id)
            """)
        return racers
    }

    private func tell(_ racers: [Racer], at now: Instant, _ owner: PostgresPool) async throws {
        _ = try await owner.transaction { transaction in
            try await StreamWriter(.intents).append(
                racers.map { racer in
                    let intent = SendIntent(
                        intentID: IntentID(UUIDv7.make(at: now)), journey: "news", journeyVersion: 1,
                        instanceID: InstanceID(UUIDv7.make(at: now)), step: "send",
                        profileID: racer.profile, template: "hello", purpose: racer.purpose, at: now)
                    return NewRecord(
                        shard: Shard(racer.profile), key: racer.profile.description,
                        body: IntentFact.wanted(intent).json)
                }, at: now, in: transaction)
        }
    }

    private func restrict(_ racer: Racer, by consent: ServiceHarness) async throws -> ServiceHarness.Answer {
        try await consent.request(
            "POST", "/v1/privacy-requests",
            json: ["type": "restriction", "subject": ["profileId": .string(racer.profile.description)]])
    }

    private func say(
        _ action: String, _ racer: Racer, to consent: ServiceHarness
    ) async throws -> ServiceHarness.Answer {
        try await consent.request(
            "POST", "/v1/consents",
            json: [
                "subject": ["profileId": .string(racer.profile.description)],
                "purpose": .string(racer.purpose), "action": .string(action), "source": "race",
            ])
    }

    private func state(
        of profile: ProfileID, _ owner: PostgresPool
    ) async throws -> (state: String, reason: String?)? {
        try await owner.query("SELECT state, reason FROM delivery.message WHERE profile_id = \(profile)")
            .first.map { (try $0.get("state"), try $0.get("reason", as: String?.self)) }
    }

    private func untilSettled(_ owner: PostgresPool) async throws {
        for await _ in owner.listen(["outbox_delivery", "deadline_delivery", "delivery_queue"]) {
            let rows = try await owner.query(
                "SELECT count(*) AS n FROM delivery.message WHERE state IN ('delivered', 'suppressed')")
            if try rows.first?.get("n", as: Int.self) == Self.people { return }
        }
    }

    /// Has many at it at once, in the order given.
    @discardableResult
    private func together(
        _ racers: [Racer], _ act: @escaping @Sendable (Racer) async throws -> Racer
    ) async throws -> [Racer] {
        try await withThrowingTaskGroup(of: Racer.self) { group in
            var (rest, done) = (racers[...], [Racer]())
            for _ in 0..<Self.requests {
                guard let racer = rest.popFirst() else { break }
                group.addTask { try await act(racer) }
            }
            while let racer = try await group.next() {
                done.append(racer)
                if let next = rest.popFirst() { group.addTask { try await act(next) } }
            }
            return done
        }
    }
}
