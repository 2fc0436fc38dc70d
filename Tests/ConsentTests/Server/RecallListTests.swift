import ConsentDomain
import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import ConsentServer

@Suite(
    "What a backup must not bring back",
    .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct RecallListTests {
    private func with(_ body: (ConsentFixture, RecallList, () throws -> [JSON]) async throws -> Void)
        async throws
    {
        try await ConsentFixture.with { fixture in
            let directory = FileManager.default.temporaryDirectory.appending(
                path: "recall-\(UUID().uuidString)", directoryHint: .isDirectory)
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: directory) }
            let list = RecallList(
                pool: fixture.service.context.pool, clock: fixture.service.context.clock, directory: directory
            )
            try await body(fixture, list) {
                let file = directory.appending(path: RecallList.name)
                guard let data = FileManager.default.contents(atPath: file.path) else { return [] }
                return try data.split(separator: UInt8(ascii: "\n")).map { try JSONParser.parse(Array($0)) }
            }
        }
    }

    private func say(
        _ purpose: String, _ action: String, _ profile: ProfileID, _ fixture: ConsentFixture
    ) async throws {
        let said = try await fixture.service.request(
            "POST", "/v1/consents",
            json: [
                "subject": ["profileId": .string(profile.description)], "purpose": .string(purpose),
                "action": .string(action), "source": "form",
            ])
        #expect(said.status == 201)
    }

    @Test("whoever was merged while an erasure waited is on the list once identity has erased them")
    func merged() async throws {
        try await with { fixture, list, lines in
            let (profile, late) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let asked = try await fixture.service.request(
                "POST", "/v1/privacy-requests",
                json: ["type": "erasure", "subject": ["profileId": .string(profile.description)]])
            #expect(asked.status == 202)
            #expect(try await list.export() == 1)
            try await fixture.merge(late, into: profile)
            #expect(try await list.export() == 0)
            try await fixture.owner.execute("UPDATE profiles.profile SET erased_at = now()")
            #expect(try await list.export() == 1)
            #expect(try await list.export() == 0)
            let told = try lines()
            #expect(told.map { $0["profileIds"]?.array?.count } == [1, 2])
            #expect(told.last?["profileIds"]?.array?.contains(.string(late.description)) == true)
            #expect(Set(told.map { $0["id"] }).count == 1)
        }
    }

    @Test(
        "refused channels and wishes of how often are on the list, and are recorded by the names that it has")
    func wishes() async throws {
        try await with { fixture, list, lines in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            try await say("channel:email", "withdraw", profile, fixture)
            try await say("frequency:weekly", "grant", profile, fixture)
            try await say("marketing", "grant", profile, fixture)
            #expect(try await list.export() == 2)
            #expect(Set(try lines().map { $0["purpose"]?.string }) == ["channel:email", "frequency:weekly"])
            let wishes = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents").json[
                "wishes"]
            #expect(wishes == ["refusedChannels": ["email"], "frequency": "weekly"])
            let rows = try lines().map { line -> String in
                let row: JSON = [
                    "subject": ["profileId": line["profileId"] ?? .null], "purpose": line["purpose"] ?? .null,
                    "action": line["action"] ?? .null, "source": line["source"] ?? .null,
                    "occurredAt": line["occurredAt"] ?? .null,
                ]
                return row.compact
            }
            let again = try await fixture.service.request(
                "POST", "/v1/consents/batch", body: Array(rows.joined(separator: "\n").utf8),
                headers: ["Content-Type": "application/x-ndjson"])
            #expect(again.json["refused"] == 0 && again.json["received"] == 2)
            for wrong in ["channel:", "channel:a@b", "frequency:hourly", "other:email"] {
                let refused = try await fixture.service.request(
                    "POST", "/v1/consents",
                    json: [
                        "subject": ["profileId": .string(profile.description)], "purpose": .string(wrong),
                        "action": "withdraw", "source": "form",
                    ])
                #expect(refused.status == 400, "\(wrong)")
            }
        }
    }

    @Test(
        "from minute to minute it is read what is new alone, and what came to be seen late with the next whole day"
    )
    func reading() async throws {
        try await with { fixture, list, lines in
            try await fixture.putPolicy()
            let profile = try await fixture.makeProfile()
            try await say("marketing", "withdraw", profile, fixture)
            #expect(try await list.export() == 1)
            fixture.clock.advance(by: .minutes(30))
            #expect(try await list.export() == 0)
            try await say("marketing", "withdraw", profile, fixture)
            #expect(try await list.export() == 1)
            // An instance whose clock is far behind, or whose transaction took long.
            let late = fixture.clock.now - .minutes(20)
            let recorder = ConsentRecorder(
                profiles: ProfileStore(
                    key: IdentifierKey(secret: ServiceHarness.secret), vault: fixture.service.context.vault),
                policies: PolicyReader { try ConsentPolicy(json: $0) })
            _ = try await fixture.service.context.pool.transaction { transaction in
                try await recorder.record(
                    [
                        NewDecision(
                            profileID: profile,
                            signal: ConsentSignal(
                                purpose: "marketing", action: .withdraw, source: "late", textVersion: nil,
                                occurredAt: late, evidence: [:]))
                    ], at: late, in: transaction)
            }
            #expect(try await list.export() == 0)
            fixture.clock.advance(by: .hours(1))
            #expect(try await list.export() == 1)
            #expect(try lines().count == 3)
        }
    }
}
