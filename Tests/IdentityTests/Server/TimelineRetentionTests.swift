import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite("Retention of timelines", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct TimelineRetentionTests {
    private struct Seen {
        let shard: Shard
        let offset: Int64
        let name: String
        let recordedAt: Instant
        let body: String
    }

    @Test(
        "of random events exactly those go whose time is over, whoever is killed whenever, and offsets have no gaps"
    )
    func oracle() async throws {
        var generator = seededGenerator()
        let database = try await TestDatabase.make(services: [identityService])
        let owner = database.pool()
        let clock = SimulatedClock(start)
        try await ServiceHarness.with(
            identityService, database: database, clock: clock, workers: false,
            others: [.ingestion: "http://127.0.0.1:9", .consent: "http://127.0.0.1:9"]
        ) { service in
            let profiles = (0..<6).map { ProfileID(UUIDv7.derived(at: start, from: "somebody \($0)")) }
            var seen: [Seen] = []
            for day in 0..<60 {
                let facts = (0..<5).map { number -> ProfileFact in
                    let profile = profiles.randomElement(using: &generator) ?? profiles[0]
                    switch Int.random(in: 0..<8, using: &generator) {
                    case 0: return .erased(profileID: profile, at: clock.now)
                    case 1:
                        return .merge(
                            profileID: profile, merged: profiles[0],
                            mergeID: MergeID(UUIDv7.make(at: clock.now)),
                            at: clock.now, cause: [:])
                    case 2:
                        return .withheld(
                            profileID: profile, arrivedUnder: profile, messageID: "m", at: clock.now,
                            items: [["reason": "limit"]])
                    case 3:
                        return .event(
                            profileID: profile, arrivedUnder: profile,
                            event: event(day * 10 + number, .identify, user: "u"))
                    default:
                        var made = event(day * 10 + number, user: "u")
                        made.name = ["a", "b", "c"].randomElement(using: &generator)
                        return .event(profileID: profile, arrivedUnder: profile, event: made)
                    }
                }
                try await owner.transaction { transaction in
                    let next = try await StreamWriter(.profileEvents).reserve(
                        Dictionary(grouping: facts, by: { Shard($0.profileID) }).mapValues(\.count),
                        in: transaction)
                    var offsets = next
                    for fact in facts {
                        let shard = Shard(fact.profileID)
                        let offset = offsets[shard] ?? 1
                        offsets[shard] = offset + 1
                        var (type, name): (String, String?) = (fact.kind.rawValue, nil)
                        if case .event(_, _, let event) = fact {
                            (type, name) = (event.kind.rawValue, event.name)
                        }
                        try await transaction.execute(
                            """
                            INSERT INTO profiles.timeline (shard, "offset", key, recorded_at, body, profile_id, occurred_at,
                                type, name, message_id)
                            VALUES (\(shard), \(offset), \(fact.profileID.description), \(clock.now), \(fact.json.compact),
                                \(fact.profileID), \(fact.at), \(type), \(name), \(type == "erased" ? nil : "m"))
                            """)
                        let kept = ["erased", "merge"].contains(type)
                        seen.append(
                            Seen(
                                shard: shard, offset: offset,
                                name: kept ? "" : type == "track" ? name ?? "" : "type:\(type)",
                                recordedAt: clock.now, body: fact.json.compact))
                    }
                }
                clock.advance(by: .hours(Int.random(in: 1...30, using: &generator)))
            }
            let policies: [JSON] = [
                [
                    "keep": [
                        "rawEvents": "7d", "timelineEvents": ["events": ["a": "7d", "type:identify": "20d"]],
                    ]
                ],
                [
                    "keep": [
                        "rawEvents": "7d",
                        "timelineEvents": ["default": "30d", "events": ["a": "7d", "b": "45d"]],
                    ]
                ],
                ["keep": ["rawEvents": "7d", "timelineEvents": "15d"]],
            ]
            var gone: Set<Int> = []
            var reported: Int64 = 0
            for json in policies {
                try await service.keep(json, in: database)
                let policy = try RetentionPolicy(json: json)
                clock.advance(by: .hours(Int.random(in: 0...48, using: &generator)))
                // Each with a limit of its own, and each ended in the middle of it.
                for _ in 0..<5 {
                    _ = try await service.retention(limit: Int.random(in: 1...4, using: &generator)).sweep(
                        most: 7)
                }
                _ = try await service.retention(limit: 3).sweep()
                let rules = policy.timelines(needs: [:], now: clock.now)
                for (index, each) in seen.enumerated()
                where !each.name.isEmpty
                    && rules.contains(where: { $0.takes(each.name, recordedAt: each.recordedAt) })
                {
                    gone.insert(index)
                }
                let rows = try await owner.query(
                    #"SELECT shard, "offset", type, name, message_id, body FROM profiles.timeline"#)
                var bodies: [String: String] = [:]
                for row in rows {
                    bodies[
                        "\(try row.get("shard", as: Shard.self).number)/\(try row.get("offset", as: Int64.self))"
                    ] =
                        try row.get("body")
                }
                #expect(bodies.count == seen.count)
                for (index, each) in seen.enumerated() {
                    let body = try #require(bodies["\(each.shard.number)/\(each.offset)"])
                    #expect((body != each.body) == gone.contains(index), "\(each) \(json)")
                    guard body != each.body else { continue }
                    guard
                        case .withheld(_, _, "", _, [["reason": "retention"]]) = try ProfileFact(
                            json: JSONParser.parse(body))
                    else {
                        Issue.record("\(body)")
                        continue
                    }
                }
                reported = try await service.letGo().values.reduce(0, +)
                #expect(reported == Int64(gone.count))
                #expect(try await service.retention().sweep() == 0)
            }
            #expect(reported > 0)
        }
        await owner.close()
    }

    @Test("an event goes with a purpose that the consent policy says it needs")
    func purposes() async throws {
        let database = try await TestDatabase.make(services: [identityService])
        let owner = database.pool()
        try await owner.transaction { transaction in
            try await transaction.script(
                """
                CREATE TABLE profiles.consent_policy (version bigint, body text);
                GRANT SELECT ON profiles.consent_policy TO martlet_readers;
                INSERT INTO profiles.consent_policy VALUES (1, '{"purposes": {"analytics": {"name": "A", "legalBasis": "consent",
                    "text": {"version": "1"}}}, "requires": {"events": {"Product Viewed": ["analytics"]}}}');
                """)
        }
        let clock = SimulatedClock(start)
        let profile = ProfileID(UUIDv7.derived(at: start, from: "somebody"))
        try await ServiceHarness.with(
            identityService, database: database, clock: clock, workers: false,
            others: [.ingestion: "http://127.0.0.1:9", .consent: "http://127.0.0.1:9"]
        ) { service in
            for (offset, name) in ["Product Viewed", "Order Completed"].enumerated() {
                try await owner.execute(
                    """
                    INSERT INTO profiles.timeline (shard, "offset", key, recorded_at, body, profile_id, occurred_at, type,
                        name, message_id)
                    VALUES (\(Shard(profile)), \(Int64(offset + 1)), \(profile.description), \(start), '{}', \(profile),
                        \(start), 'track', \(name), 'm')
                    """)
            }
            try await service.keep(
                [
                    "keep": [
                        "rawEvents": "7d",
                        "timelineEvents": ["default": "90d", "purposes": ["analytics": "10d"]],
                    ]
                ],
                in: database)
            clock.advance(by: .days(11))
            #expect(try await service.retention().sweep() == 1)
            let left = try await owner.query("SELECT name FROM profiles.timeline WHERE type = 'track'")
            #expect(try left.map { try $0.get("name", as: String.self) } == ["Order Completed"])
            let shown = try await service.request("GET", "/v1/profiles/\(profile)/timeline")
            #expect(
                shown.status == 404
                    || shown.json["items"]?.array?.contains { $0["kind"] == "withheld" } == false)
            clock.advance(by: .days(80))
            #expect(try await service.retention().sweep() == 1)
        }
        await owner.close()
    }
}
