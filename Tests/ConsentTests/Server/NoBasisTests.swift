import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import ConsentServer

@Suite(
    "Nobody is held without a basis", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct NoBasisTests {
    /// What was given, lasts a year; orders are a contract.
    private static let consent: JSON = [
        "purposes": [
            "marketing": [
                "name": "Marketing", "legalBasis": "consent", "lasts": "P365D", "directMarketing": true,
                "text": ["version": "1"],
            ],
            "orders": ["name": "Orders", "legalBasis": "contract", "text": ["version": "1"]],
        ]
    ]
    private static let rule: JSON = [
        "noBasis": [
            "after": "30d", "mostPercent": 100,
            "contract": ["events": ["Order Completed"], "within": "365d"],
        ]
    ]

    private func put(
        _ fixture: ConsentFixture, _ policy: JSON, _ query: String = ""
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request("PUT", "/v1/retention\(query)", json: policy)
    }

    private func requests(_ fixture: ConsentFixture) async throws -> [JSON] {
        try await fixture.service.request("GET", "/v1/privacy-requests?limit=1000").json["items"]?.array ?? []
    }

    private func pass(_ fixture: ConsentFixture) async throws -> JSON {
        try await fixture.service.request("GET", "/v1/retention/without-basis").json
    }

    @Test(
        "whoever nothing has permitted to hold for the time is erased by a request that says why, once, and nobody else"
    )
    func erases() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.consent)
            let (silent, granted, withdrawn, buyer, restricted, asking) = (
                try await fixture.makeProfile(), try await fixture.makeProfile(),
                try await fixture.makeProfile(), try await fixture.makeProfile(),
                try await fixture.makeProfile(), try await fixture.makeProfile()
            )
            try await fixture.decide("grant", of: granted)
            try await fixture.decide("grant", of: withdrawn)
            try await fixture.owner.transaction { transaction in
                try await fixture.append(
                    [fixture.track("Order Completed", of: buyer)], in: transaction)
                try await transaction.execute(
                    "UPDATE profiles.timeline SET type = 'track', name = 'Order Completed'")
            }
            for (profile, type) in [(restricted, "restriction"), (asking, "access")] {
                let answer = try await fixture.service.request(
                    "POST", "/v1/privacy-requests",
                    json: ["type": .string(type), "subject": ["profileId": .string(profile.description)]])
                #expect(answer.status == 201 || answer.status == 202, "\(answer.text)")
            }
            #expect(try await put(fixture, Self.rule).status == 200)
            let worker = try fixture.service.retention(limit: 2)
            fixture.clock.advance(by: .days(30))
            #expect(try await worker.sweep() == 0)
            #expect(try await fixture.decide("withdraw", of: withdrawn).status == 201)
            fixture.clock.advance(by: .hours(1))
            #expect(try await worker.sweep() == 1)
            #expect(try await worker.sweep() == 0)
            func erasures() async throws -> [JSON] {
                try await requests(fixture).filter { $0["type"] == "erasure" }
            }
            let request = try #require(try await erasures().first)
            #expect(request["profileId"]?.string == silent.description)
            #expect(request["reason"] == "noBasis" && request["state"] == "inProgress")
            #expect(try await pass(fixture)["phase"] == "done")
            #expect(try await pass(fixture)["people"] == 6)
            #expect(try await pass(fixture)["filed"] == 1)
            let id = try #require(request["id"]?.string)
            let stream = try await fixture.owner.query("SELECT body FROM consent.stream_privacy_requests")
                .map { try $0.get("body", as: JSON.self) }
            #expect(stream.contains { $0["requestId"]?.string == id || $0["id"]?.string == id })

            // A withdrawal starts the time anew, and a grant counts until it has run out; an order for a year.
            fixture.clock.advance(by: .days(30) + .hours(1))
            #expect(try await worker.sweep() == 1)
            #expect(
                try await Set(erasures().compactMap { $0["profileId"]?.string }).contains(
                    withdrawn.description))
            fixture.clock.advance(by: .days(365))
            #expect(try await worker.sweep() == 2)
            let gone = Set(try await erasures().compactMap { $0["profileId"]?.string })
            #expect(gone == Set([silent, withdrawn, granted, buyer].map(\.description)))
            #expect(try await fixture.service.letGo() == ["noBasis": 4])
            // The reason is in the desk when it is done, and in what is signed of it.
            for service in ServiceName.allCases where service != .console {
                _ = try await fixture.service.request(
                    "PUT", "/v1/privacy-requests/\(id)/results/\(service.rawValue)",
                    json: ["status": "completed", "result": ["rows": 1]], as: .service(service))
            }
            let done = try await fixture.service.request("GET", "/v1/privacy-requests/\(id)").json
            #expect(done["state"] == "completed" && done["reason"] == "noBasis")
            #expect(done["steps"]?.array?.first?["by"] == "service consent")
            #expect(
                try await fixture.service.request("GET", "/v1/privacy-requests/\(id)/receipt").status == 200)
        }
    }

    @Test(
        "a policy by which too many would go is refused with how many, can be tried without being stored, and is taken when it says so"
    )
    func tooMany() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.consent)
            for number in 0..<20 {
                let profile = try await fixture.makeProfile()
                if number < 9 { try await fixture.decide("grant", of: profile) }
            }
            fixture.clock.advance(by: .days(40))
            let rule: JSON = ["noBasis": ["after": "30d", "contract": ["events": ["x"], "within": "1d"]]]
            let trial = try await put(fixture, rule, "?dryRun=true")
            #expect(trial.status == 200, "\(trial.text)")
            #expect(trial.json["noBasis"]?["people"] == 20 && trial.json["noBasis"]?["withoutBasis"] == 11)
            #expect(trial.json["noBasis"]?["tooMany"] == true && trial.json["noBasis"]?["complete"] == true)
            #expect(try await put(fixture, rule, "?dryRun=perhaps").status == 400)
            let refused = try await put(fixture, rule)
            #expect(refused.status == 409 && refused.json["withoutBasis"] == 11, "\(refused.text)")
            #expect(try await fixture.service.request("GET", "/v1/retention").headers["etag"] == "\"1\"")
            var asked = rule
            asked = [
                "noBasis": [
                    "after": "30d", "mostPercent": 55, "contract": ["events": ["x"], "within": "1d"],
                ]
            ]
            #expect(try await put(fixture, asked).status == 200)
            #expect(try await fixture.service.retention(limit: 3).sweep() == 11)
        }
    }

    @Test("a change of the consent policy that would take everybody's basis erases nobody, and says so")
    func held() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.consent)
            for _ in 0..<12 { try await fixture.decide("grant", of: try await fixture.makeProfile()) }
            #expect(
                try await put(
                    fixture,
                    ["noBasis": ["after": "30d", "contract": ["events": ["x"], "within": "1d"]]]
                ).status == 200)
            // The purpose that everybody has granted is called otherwise from now on.
            try await fixture.putPolicy([
                "purposes": [
                    "news": ["name": "News", "legalBasis": "consent", "text": ["version": "1"]]
                ]
            ])
            let worker = try fixture.service.retention(limit: 5)
            fixture.clock.advance(by: .days(30))
            #expect(try await worker.sweep() == 0)
            #expect(try await pass(fixture)["phase"] == "done")
            fixture.clock.advance(by: .hours(1))
            #expect(try await worker.sweep() == 0)
            #expect(try await pass(fixture)["phase"] == "held")
            #expect(try await pass(fixture)["withoutBasis"] == 12)
            #expect(try await requests(fixture).isEmpty)
            // Whoever puts it right has lost nobody.
            try await fixture.putPolicy(Self.consent)
            #expect(try await worker.sweep() == 0)
            #expect(try await pass(fixture)["phase"] == "done")
            #expect(try await pass(fixture)["withoutBasis"] == 0)
        }
    }

    @Test(
        "whoever says yes after they were found to have no basis, and before the request is filed, is not erased"
    )
    func race() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.consent)
            let (late, silent) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            #expect(try await put(fixture, Self.rule).status == 200)
            fixture.clock.advance(by: .days(31))
            let worker = try fixture.service.retention()
            // Whoever grants holds the chain until they commit; the sweep has decided by then and waits for it.
            let swept = try await fixture.owner.transaction { transaction in
                try await transaction.execute(
                    """
                    INSERT INTO consent.ledger_head (shard, position, hash) VALUES (\(Shard(late)), 0, '\\x00')
                    ON CONFLICT (shard) DO UPDATE SET position = consent.ledger_head.position
                    """)
                let swept = Task { try await worker.sweep() }
                while try await fixture.owner.query(
                    "SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
                ).isEmpty {}
                try await transaction.execute(
                    """
                    INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
                    VALUES (\(Shard(late)), \(late), 'marketing', 'granted', \(fixture.clock.now), gen_random_uuid())
                    """)
                return swept
            }
            #expect(try await swept.value == 1)
            #expect(try await requests(fixture).map { $0["profileId"]?.string } == [silent.description])
        }
    }

    @Test("a merge by which somebody has a basis again is heeded, and who was merged is filed for once")
    func merged() async throws {
        try await ConsentFixture.with { fixture in
            try await fixture.putPolicy(Self.consent)
            let (one, other, granted, third) = (
                try await fixture.makeProfile(), try await fixture.makeProfile(),
                try await fixture.makeProfile(), try await fixture.makeProfile()
            )
            try await fixture.merge(one, into: other)
            fixture.clock.advance(by: .days(100))
            try await fixture.decide("grant", of: granted)
            try await fixture.merge(third, into: granted)
            #expect(try await put(fixture, Self.rule).status == 200)
            let worker = try fixture.service.retention(limit: 1)
            #expect(try await worker.sweep() == 1)
            let request = try #require(try await requests(fixture).first)
            #expect(request["profileId"]?.string == other.description)
            #expect(
                Set(request["profileIds"]?.array?.compactMap(\.string) ?? []) == [
                    one.description, other.description,
                ])
        }
    }
}
