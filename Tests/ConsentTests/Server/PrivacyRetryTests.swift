import Crypto
import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import ConsentServer

@Suite(
    "Privacy requests that went wrong, came late, or are old",
    .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PrivacyRetryTests {
    private static let path = "/v1/privacy-requests"
    private static let services: [ServiceName] = [
        .ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
    ]

    private func ask(
        _ type: String, _ profile: ProfileID, _ fixture: ConsentFixture, receivedAt: Instant? = nil,
        key: String? = nil
    ) async throws -> JSON {
        var body: [String: JSON] = [
            "type": .string(type), "subject": ["profileId": .string(profile.description)],
            "verifiedBy": ["method": "signed in"],
        ]
        if let receivedAt { body["receivedAt"] = .string(receivedAt.rfc3339) }
        let asked = try await fixture.service.request(
            "POST", Self.path, json: .object(body), headers: key.map { ["Idempotency-Key": $0] } ?? [:])
        #expect((200...202).contains(asked.status), "\(asked.text)")
        return asked.json
    }

    private func report(
        _ id: String, _ service: ServiceName, _ status: String, _ fixture: ConsentFixture
    ) async throws -> JSON {
        var body: [String: JSON] = ["status": .string(status)]
        body[status == "completed" ? "result" : "error"] = status == "completed" ? ["found": 1] : "too large"
        return try await fixture.service.request(
            "PUT", "\(Self.path)/\(id)/results/\(service.rawValue)", json: .object(body),
            as: .service(service)
        ).json
    }

    private func retry(_ id: String, _ fixture: ConsentFixture) async throws -> ServiceHarness.Answer {
        try await fixture.service.request("POST", "\(Self.path)/\(id)/retry", json: [:])
    }

    private func published(_ fixture: ConsentFixture) async throws -> [PrivacyRequest] {
        try await fixture.service.published(.privacyRequests).sorted { $0.offset < $1.offset }
            .map { try PrivacyRequest(json: $0.body) }
    }

    private func events(_ fixture: ConsentFixture) async throws -> [String] {
        try await fixture.service.published(.privacyChanges).sorted {
            ($0.recordedAt, $0.offset) < ($1.recordedAt, $1.offset)
        }
        .map { try PrivacyChange(json: $0.body).event }
    }

    private func sweep(_ fixture: ConsentFixture) async throws {
        for case let sweeper as DeadlineSweeper in fixture.service.running.services {
            try await sweeper.sweep()
        }
    }

    @Test("those that failed are asked once more, and no others; then the request completes")
    func access() async throws {
        try await ConsentFixture.with { fixture in
            let id = try #require(
                try await ask("access", try await fixture.makeProfile(), fixture)["id"]?.string)
            for service in Self.services where service != .ingestion && service != .journeys {
                _ = try await report(id, service, "completed", fixture)
            }
            _ = try await report(id, .ingestion, "failed", fixture)
            // While somebody is still at it, it is known already that one has failed.
            #expect(try await retry(id, fixture).json["status"] == "pending")
            _ = try await report(id, .journeys, "failed", fixture)
            _ = try await report(id, .ingestion, "failed", fixture)
            let retried = try await retry(id, fixture)
            #expect(retried.status == 200 && retried.json["status"] == "pending")
            let asked = try await published(fixture)
            #expect(
                asked.map(\.services) == [nil, [.ingestion], [.ingestion, .journeys]])
            #expect(asked.last?.asks(.identity) == false && asked.first?.asks(.identity) == true)
            #expect(try await report(id, .ingestion, "completed", fixture)["state"] == "inProgress")
            #expect(try await report(id, .journeys, "completed", fixture)["state"] == "completed")
            #expect(try await retry(id, fixture).status == 409)
        }
    }

    @Test("where identity could not erase, ingestion is asked once more with it")
    func erasure() async throws {
        try await ConsentFixture.with { fixture in
            let id = try #require(
                try await ask("erasure", try await fixture.makeProfile(), fixture)["id"]?.string)
            for service in Self.services where service != .identity {
                _ = try await report(id, service, "completed", fixture)
            }
            _ = try await report(id, .identity, "failed", fixture)
            #expect(try await retry(id, fixture).status == 200)
            #expect(try await published(fixture).last?.services == [.identity, .ingestion])
            #expect(try await report(id, .identity, "completed", fixture)["state"] == "inProgress")
            #expect(try await report(id, .ingestion, "completed", fixture)["state"] == "completed")
        }
    }

    @Test(
        "what is filed after a reminder of it has passed is told of at once, also where it is overdue already"
    )
    func late() async throws {
        try await ConsentFixture.with { fixture in
            let now = fixture.clock.now
            _ = try await ask(
                "access", try await fixture.makeProfile(), fixture, receivedAt: now - .hours(24 * 60))
            try await sweep(fixture)
            #expect(try await events(fixture).filter { $0 == "overdue" }.count == 1)
            _ = try await ask(
                "access", try await fixture.makeProfile(), fixture, receivedAt: now - .hours(24 * 28))
            try await sweep(fixture)
            try await sweep(fixture)
            #expect(try await events(fixture).filter { $0 == "weekBefore" }.count == 1)
            // Those that come are told as ever.
            fixture.clock.advance(by: .hours(24 * 4))
            try await sweep(fixture)
            #expect(try await events(fixture).filter { $0 == "overdue" }.count == 2)
        }
    }

    @Test("a reminder that is due is told although somebody does something to the request first")
    func touched() async throws {
        try await ConsentFixture.with { fixture in
            let asked = try await ask("access", try await fixture.makeProfile(), fixture)
            let id = try #require(asked["id"]?.string)
            let due = try #require(asked["dueAt"]?.string.flatMap { Instant(rfc3339: $0) })
            fixture.clock.set(due + .minutes(1))
            let noted = try await fixture.service.request(
                "POST", "\(Self.path)/\(id)/notes", json: ["text": "looked at it"])
            #expect(noted.status == 200)
            try await sweep(fixture)
            #expect(try await events(fixture).filter { $0 == "overdue" }.count == 1)
            try await sweep(fixture)
            #expect(try await events(fixture).filter { $0 == "overdue" }.count == 1)
        }
    }

    @Test(
        "a call that is repeated after the erasure that it asked for is answered with it, and another is not")
    func repeated() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.know(try #require(Identifier(.email, "ada@example.com")), as: profile)
            func send(_ key: String, _ type: String = "erasure") async throws -> ServiceHarness.Answer {
                try await fixture.service.request(
                    "POST", Self.path,
                    json: [
                        "type": .string(type),
                        "subject": ["identifier": ["type": "email", "value": "ada@example.com"]],
                    ], headers: ["Idempotency-Key": key])
            }
            let first = try await send("letter-7")
            let id = try #require(first.json["id"]?.string)
            for service in Self.services { _ = try await report(id, service, "completed", fixture) }
            let now = fixture.clock.now
            _ = try await fixture.service.context.pool.transaction { transaction in
                try await ConsentPrivacy.forget([profile], at: now, in: transaction)
            }
            try await fixture.owner.execute("UPDATE profiles.profile SET erased_at = now()")
            let erased = try await send("letter-7")
            #expect(erased.status == 200 && erased.json["id"]?.string == id)
            try await fixture.owner.execute("DELETE FROM profiles.identifier")
            let again = try await send("letter-7")
            #expect(again.status == 200 && again.json["id"]?.string == id)
            #expect(again.json["state"] == "completed")
            #expect(try await send("letter-8").status == 404)
            #expect(try await send("letter-7", "delete").status == 404)
        }
    }

    @Test("the receipt of a request from before hashes were kept lists every store with what is known")
    func oldReceipt() async throws {
        try await ConsentFixture.with { fixture in
            let id = try #require(
                try await ask("erasure", try await fixture.makeProfile(), fixture)["id"]?.string)
            for service in Self.services { _ = try await report(id, service, "completed", fixture) }
            let before = try await fixture.service.request("GET", "\(Self.path)/\(id)/receipt").json
            try await fixture.owner.execute(
                "UPDATE consent.privacy_result SET digest = NULL, counts = NULL")
            try await fixture.owner.execute(
                "UPDATE consent.privacy_result SET result = NULL WHERE service = 'journeys'")
            let after = try await fixture.service.request("GET", "\(Self.path)/\(id)/receipt").json
            let (old, new) = (before["stores"]?.array ?? [], after["stores"]?.array ?? [])
            #expect(new.count == 7)
            for (old, new) in zip(old, new) {
                if new["service"] == "journeys" {
                    #expect(new["sha256"] == .null && new["counts"] == [:])
                    #expect(new["reportedAt"] == old["reportedAt"])
                } else {
                    #expect(new == old)
                }
            }
        }
    }
}
