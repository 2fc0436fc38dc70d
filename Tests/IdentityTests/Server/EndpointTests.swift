import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Identity over HTTP", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct EndpointTests {
    private func with(
        _ events: [TrackingEvent] = [], _ body: (ServiceHarness, IdentityDatabase) async throws -> Void
    ) async throws {
        try await IdentityDatabase.with { database in
            try await database.publish(events)
            try await database.consumer(batch: 500).drain()
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start + .hours(1)),
                workers: false
            ) { harness in
                try await body(harness, database)
            }
        }
    }

    @Test("a profile is found by its id, by a merged id, and by each identifier")
    func profile() async throws {
        let events = [
            event(0, device: "phone"),
            event(1, .identify, user: "u", device: "laptop", email: "A@x.org", traits: ["plan": "pro"]),
            event(2, user: "u", device: "phone"),
        ]
        try await with(events) { service, _ in
            let found = try await service.request(
                "POST", "/v1/profiles/lookup", json: ["type": "email", "value": " a@X.org"])
            #expect(found.status == 200)
            let profile = found.json
            let id = try #require(profile["profileId"]?.string)
            let merged = try #require(profile[path: "mergedProfileIds.0"]?.string)
            #expect(
                profile["identifiers"]?.array?.map { $0["value"]?.string } == [
                    "laptop", "phone", "a@x.org", "u",
                ])
            #expect(profile[path: "traits.plan.value"] == "pro")
            #expect(profile[path: "traits.plan.messageId"] == "m1")
            for path in [
                "/v1/profiles/\(id)", "/v1/profiles/\(merged)", "/v1/profiles/\(merged.uppercased())",
            ] {
                #expect(try await service.request("GET", path).json == profile)
            }
            for query in [
                "identifierType=userId&identifierValue=u", "identifierType=anonymousId&identifierValue=phone",
            ] {
                #expect(try await service.request("GET", "/v1/profiles?\(query)").json["items"] == [profile])
            }
            let nobody = try await service.request(
                "GET", "/v1/profiles?identifierType=userId&identifierValue=nobody")
            #expect(nobody.json == ["items": [], "nextCursor": .null])
        }
    }

    @Test("lists and timelines are read page by page, and nothing is left out or shown twice")
    func pages() async throws {
        let events = (0..<23).map { event($0, device: "d\($0 % 7)", late: .seconds($0 % 3)) }
        try await with(events) { service, _ in
            var ids: [String] = []
            var cursor = ""
            repeat {
                let page = try await service.request("GET", "/v1/profiles?limit=3\(cursor)").json
                ids += page["items"]?.array?.compactMap { $0["profileId"]?.string } ?? []
                cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty
            #expect(ids.count == 7)
            #expect(Set(ids).count == 7)
            var messages: [String] = []
            for id in ids {
                var times: [String] = []
                repeat {
                    let page = try await service.request(
                        "GET", "/v1/profiles/\(id)/timeline?limit=2\(cursor)"
                    ).json
                    let items = page["items"]?.array ?? []
                    messages += items.compactMap { $0[path: "event.messageId"]?.string }
                    times += items.compactMap { $0["occurredAt"]?.string }
                    cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
                } while !cursor.isEmpty
                #expect(times == times.sorted(by: >))
            }
            #expect(messages.sorted() == events.map(\.messageID).sorted())
        }
    }

    @Test("resolving makes a profile once, adds what is new, and joins who belongs together")
    func resolve() async throws {
        try await with([event(0, device: "d")]) { service, database in
            func resolve(_ identifiers: JSON) async throws -> JSON {
                try await service.request("POST", "/v1/profiles/resolve", json: ["identifiers": identifiers])
                    .json
            }
            let email: JSON = ["type": "email", "value": "a@x.org"]
            let made = try await resolve([email])
            #expect(made["created"] == true)
            let again = try await resolve([["type": "email", "value": "A@X.org "]])
            #expect(again == ["created": false, "profileId": made["profileId"] ?? .null])
            let joined = try await resolve([["type": "anonymousId", "value": "d"], email])
            #expect(joined["created"] == false)
            let kinds = try await database.timeline().map { $0.body["kind"]?.string }
            // What was claimed is a fact, so that a rebuild from the facts knows it; the repeated call said nothing new.
            #expect(
                kinds.sorted { ($0 ?? "") < ($1 ?? "") } == [
                    "event", "event", "event", "merge", "mergedInto",
                ])
            // Why they were joined is kept in plain words, and names nobody.
            let kept = try await database.owner.query(
                "SELECT cause::text AS text FROM profiles.merge UNION ALL SELECT body FROM profiles.timeline WHERE type = 'merge'"
            )
            #expect(kept.count == 2)
            for row in kept {
                let text: String = try row.get("text")
                #expect(text.contains("resolve-") && !text.contains("a@x.org"))
            }
        }
    }

    @Test("the same person resolved many times at once is made once")
    func resolveRace() async throws {
        try await with { service, _ in
            let answers = try await withThrowingTaskGroup(of: JSON.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await service.request(
                            "POST", "/v1/profiles/resolve",
                            json: ["identifiers": [["type": "email", "value": "a@x.org"]]]
                        ).json
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(answers.map { $0["profileId"] }).count == 1)
            #expect(answers.filter { $0["created"] == true }.count == 1)
        }
    }

    private static let badRequests: [(String, String, String?, Int)] = [
        ("GET", "/v1/profiles/nobody", nil, 400),
        ("GET", "/v1/profiles/018bcfe5-6800-732e-8bd2-68de555c384f", nil, 404),
        ("GET", "/v1/profiles/018bcfe5-6800-732e-8bd2-68de555c384f/timeline", nil, 404),
        ("GET", "/v1/profiles/018bcfe5-6800-732e-8bd2-68de555c384f/timeline?limit=0", nil, 400),
        ("GET", "/v1/profiles/018bcfe5-6800-732e-8bd2-68de555c384f/timeline?cursor=xyz", nil, 400),
        ("GET", "/v1/profiles?limit=201", nil, 400), ("GET", "/v1/profiles?cursor=WyJ4Il0", nil, 400),
        ("GET", "/v1/profiles?identifierType=email", nil, 400),
        ("GET", "/v1/profiles?identifierType=phone&identifierValue=1", nil, 400),
        ("GET", "/v1/profiles?identifierType=email&identifierValue=nonsense", nil, 400),
        ("DELETE", "/v1/profiles", nil, 405), ("PATCH", "/v1/profiles/lookup", nil, 405),
        ("POST", "/v1/profiles/lookup", "", 400), ("POST", "/v1/profiles/lookup", "{", 400),
        ("POST", "/v1/profiles/lookup", "[]", 400), ("POST", "/v1/profiles/lookup", "{}", 400),
        ("POST", "/v1/profiles/lookup", #"{"type":"email","value":"nobody@x.org"}"#, 404),
        ("POST", "/v1/profiles/lookup", #"{"type":"email","value":"no address"}"#, 400),
        ("POST", "/v1/profiles/lookup", #"{"type":"userId","value":"\u0000"}"#, 400),
        ("POST", "/v1/profiles/lookup", #"{"type":"userId","value":"\ud800"}"#, 400),
        ("POST", "/v1/profiles/lookup", #"{"type":"userId","value":"a"},"#, 400),
        ("POST", "/v1/profiles/lookup", #"{"type":"phone","value":"1"}"#, 400),
        ("POST", "/v1/profiles/lookup", String(repeating: "[", count: 10_000), 400),
        ("POST", "/v1/profiles/lookup", "\"" + String(repeating: "x", count: 70_000) + "\"", 413),
        ("POST", "/v1/profiles/resolve", #"{"identifiers":[]}"#, 400),
        ("POST", "/v1/profiles/resolve", #"{"identifiers":[{"type":"email","value":"x"}]}"#, 400),
        (
            "POST", "/v1/profiles/resolve",
            #"{"identifiers":[{"type":"userId","value":"a"},{"type":"userId","value":"b"}]}"#, 400
        ),
        ("GET", "/v1/streams/events", nil, 404), ("GET", "/nothing", nil, 404),
    ]

    @Test("bad input is answered with a problem that says what was expected")
    func badInput() async throws {
        try await with { service, _ in
            for (method, path, body, status) in Self.badRequests {
                let answer = try await service.request(method, path, body: body.map { Array($0.utf8) })
                #expect(answer.status == status, "\(method) \(path) \(body?.prefix(80) ?? "")")
                #expect(answer.headers["content-type"] == "application/problem+json", "\(method) \(path)")
                #expect(answer.json["status"]?.integer == Int64(status))
            }
            let form = try await service.request(
                "POST", "/v1/profiles/lookup", body: Array("type=email".utf8),
                headers: ["Content-Type": "application/x-www-form-urlencoded"])
            #expect(form.status == 415)
            for (method, path) in [("GET", "/v1/profiles"), ("POST", "/v1/profiles/resolve")] {
                #expect(try await service.request(method, path, as: .none).status == 401)
            }
        }
    }
}
