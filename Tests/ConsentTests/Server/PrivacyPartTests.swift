import ConsentDomain
import Crypto
import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import ConsentServer

@Suite("Reports in parts", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PrivacyPartTests {
    private static let path = "/v1/privacy-requests"
    private static let services: [ServiceName] = [
        .ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
    ]

    private func ask(_ profile: ProfileID, _ fixture: ConsentFixture) async throws -> String {
        let asked = try await fixture.service.request(
            "POST", Self.path,
            json: [
                "type": "access", "subject": ["profileId": .string(profile.description)],
                "verifiedBy": ["method": "signed in"],
            ])
        return try #require(asked.json["id"]?.string)
    }

    private func part(
        _ number: Int, _ member: String, _ items: [JSON], of id: String, _ fixture: ConsentFixture,
        from service: ServiceName = .identity, as caller: ServiceName = .identity
    ) async throws -> Int {
        try await fixture.service.request(
            "PUT", "\(Self.path)/\(id)/results/\(service.rawValue)/parts/\(number)",
            json: ["member": .string(member), "items": .array(items)], as: .service(caller)
        ).status
    }

    private func report(
        _ service: ServiceName, _ result: JSON, parts: Int?, of id: String, _ fixture: ConsentFixture
    ) async throws -> Int {
        var body: [String: JSON] = ["status": "completed", "result": result]
        if let parts { body["parts"] = .integer(Int64(parts)) }
        return try await fixture.service.request(
            "PUT", "\(Self.path)/\(id)/results/\(service.rawValue)", json: .object(body),
            as: .service(service)
        ).status
    }

    private static let entries: [JSON] = (0..<7).map { number in
        ["at": "2026-01-0\(number + 1)", "event": ["n": .integer(Int64(number)), "text": "a\"b,c"]]
    }

    /// The answers of a request whose services report, identity's timeline in one piece or in parts.
    private func answers(inParts: Bool, _ fixture: ConsentFixture) async throws -> [ServiceHarness.Answer] {
        let id = try await ask(try await fixture.makeProfile(), fixture)
        for service in Self.services where service != .identity {
            #expect(try await report(service, ["orders": [["n": 1]]], parts: nil, of: id, fixture) == 200)
        }
        if inParts {
            // They may overtake each other and the report, and come twice.
            let summary: JSON = ["profile": ["a": 1], "webhooks": []]
            #expect(try await report(.identity, summary, parts: 4, of: id, fixture) == 503)
            #expect(try await part(2, "timeline", Array(Self.entries[3...]), of: id, fixture) == 204)
            #expect(try await part(0, "timeline", [["wrong": 1]], of: id, fixture) == 204)
            #expect(try await part(0, "timeline", Array(Self.entries[..<3]), of: id, fixture) == 204)
            #expect(try await part(3, "zebra", [], of: id, fixture) == 204)
            #expect(try await part(9, "timeline", [["of": "an earlier attempt"]], of: id, fixture) == 204)
            #expect(try await report(.identity, summary, parts: 4, of: id, fixture) == 503)
            #expect(try await part(1, "timeline", [], of: id, fixture) == 204)
            #expect(try await report(.identity, summary, parts: 4, of: id, fixture) == 200)
            // What comes after the report changes nothing.
            #expect(try await part(0, "timeline", [["late": 1]], of: id, fixture) == 204)
        } else {
            let all: JSON = [
                "profile": ["a": 1], "webhooks": [], "timeline": .array(Self.entries), "zebra": [],
            ]
            #expect(try await report(.identity, all, parts: nil, of: id, fixture) == 200)
        }
        var answers: [ServiceHarness.Answer] = []
        for path in ["/bundle", "/data", "/data?format=csv", "/receipt"] {
            let answer = try await fixture.service.request("GET", "\(Self.path)/\(id)\(path)")
            #expect(answer.status == 200)
            answers.append(answer)
        }
        return answers
    }

    @Test("what comes in parts is shown, taken along and hashed as what comes in one piece")
    func same() async throws {
        try await ConsentFixture.with { fixture in
            let whole = try await answers(inParts: false, fixture)
            let parted = try await answers(inParts: true, fixture)
            #expect(parted[0].json["services"] == whole[0].json["services"])
            #expect(parted[0].json[path: "services.identity.timeline"]?.array == Self.entries)
            #expect(parted[1].text == whole[1].text)
            #expect(parted[2].text == whole[2].text && parted[2].text.contains("events,7,"))
            #expect(parted[2].headers["content-type"] == whole[2].headers["content-type"])
            #expect(
                parted[3].json["stores"]?.array?.map { $0["sha256"] }
                    == whole[3].json["stores"]?.array?.map { $0["sha256"] })
            // It is what anybody who has the bundle can work out.
            let identity = try #require(parted[0].json[path: "services.identity"])
            let digest = SHA256.hash(data: Data(identity.compact.utf8)).map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
            #expect(
                parted[3].json["stores"]?.array?.first { $0["service"] == "identity" }?["sha256"]?.string
                    == digest)
        }
    }

    @Test("parts lie sealed, go with an erasure, and are taken from the service alone that they are of")
    func kept() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let id = try await ask(profile, fixture)
            #expect(try await part(0, "timeline", ["Ada"], of: id, fixture) == 204)
            #expect(try await part(0, "timeline", ["Eve"], of: id, fixture, as: .journeys) == 403)
            for wrong in ["-1", "10000", "x"] {
                let answer = try await fixture.service.request(
                    "PUT", "\(Self.path)/\(id)/results/identity/parts/\(wrong)",
                    json: ["member": "a", "items": []], as: .service(.identity))
                #expect(answer.status == 400, "\(wrong)")
            }
            let rows = try await fixture.owner.query("SELECT items FROM consent.privacy_result_part")
            #expect(rows.count == 1)
            #expect(try rows.first?.get("items", as: String.self).contains("Ada") == false)
            let now = fixture.clock.now
            _ = try await fixture.service.context.pool.transaction { transaction in
                try await ConsentPrivacy.forget([profile], at: now, in: transaction)
            }
            #expect(try await fixture.owner.query("SELECT FROM consent.privacy_result_part").isEmpty)
        }
    }
}
