import Foundation
import IdentityDomain
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "The identity policy over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PolicyTests {
    private func with(_ body: (ServiceHarness, IdentityDatabase) async throws -> Void) async throws {
        try await IdentityDatabase.with { database in
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start + .hours(1)),
                workers: false
            ) { harness in
                try await body(harness, database)
            }
        }
    }

    private func put(
        _ text: String, to service: ServiceHarness, ifMatch: String? = nil
    ) async throws -> ServiceHarness.Answer {
        var headers = ["Content-Type": "application/yaml"]
        headers["If-Match"] = ifMatch
        return try await service.request(
            "PUT", "/v1/identity-policy", body: Array(text.utf8), headers: headers)
    }

    @Test("the policy is read, replaced under its ETag, and decides from the next event on")
    func replace() async throws {
        try await with { service, database in
            let shipped = try await service.request("GET", "/v1/identity-policy")
            #expect(shipped.json["version"] == 0)
            let text = try #require(shipped.json["source"]?.string)
            let changed =
                "defaultRegion: CH\n" + text.replacing("{priority: 60, from", with: "{priority: 61, from")
            #expect(try await put(changed, to: service, ifMatch: "\"7\"").status == 412)
            let answer = try await put(changed, to: service, ifMatch: shipped.headers["etag"])
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json["version"] == 1)
            #expect(
                try await put(changed, to: service).json["version"] == 1, "the same text is no new version")
            #expect(try await put(text, to: service, ifMatch: shipped.headers["etag"]).status == 412)

            try await database.publish([event(2, device: "a"), event(3, device: "b")])
            try await database.consumer().drain()
            var call = event(0, .identify, device: "a")
            call.traits["phone"] = "079 123 45 67"
            var again = event(1, .identify, device: "b")
            again.traits["phone"] = "+41 79 123 45 67"
            try await database.publish([call, again])
            try await database.consumer().drain()
            let found = try await service.request(
                "POST", "/v1/profiles/lookup", json: ["type": "phone", "value": "0041 79 123 4567"])
            #expect(found.json["mergedProfileIds"]?.array?.count == 1)
            let merge = try await service.request("GET", "/v1/merges").json
            #expect(merge[path: "items.0.cause.joinedBy"] == "anonymousId")
            #expect(merge[path: "items.0.cause.policy"] == 1)
        }
    }

    @Test("a trait's rule decides which value holds, says where it is from, and goes along with the facts")
    func traitRules() async throws {
        try await with { service, database in
            let rules = """

                traits:
                  born: {rule: first}
                  interests: {rule: union}
                  spent: {rule: max}
                  plan: {rule: priority, sources: [\(UUID(high: 0, low: 0).hyphenated)]}
                """
            #expect(try await put(ShippedPolicy.source + rules, to: service).status == 200)
            try await database.publish([
                event(
                    0, .identify, user: "u", device: "a",
                    traits: ["born": "1990", "interests": "hats", "plan": "a"]),
                event(1, .identify, device: "b", traits: ["interests": ["shoes", "hats"], "spent": "9.50"]),
            ])
            try await database.consumer().drain()
            let told = try await service.request(
                "POST", "/v1/profiles",
                json: [
                    "identifiers": [["type": "userId", "value": "u"]],
                    "traits": ["plan": "pro", "spent": 7, "born": "1991"],
                    "occurredAt": .string(start.rfc3339),
                ])
            #expect(told.status == 200, "\(told.text)")
            try await database.publish([
                event(2, .identify, user: "u", device: "b", traits: ["plan": "free", "interests": ["bags"]])
            ])
            try await database.consumer().drain()
            let found = try await service.request(
                "POST", "/v1/profiles/lookup", json: ["type": "anonymousId", "value": "b"])
            let traits = found.json["traits"] ?? .null
            #expect(traits[path: "born.value"] == "1990" || traits[path: "born.value"] == "1991")
            #expect(traits[path: "born.rule"] == "first")
            #expect(traits[path: "interests.value"] == ["hats", "shoes", "bags"])
            #expect(traits[path: "interests.from.1.messageId"] == "m1")
            #expect(traits[path: "spent.value"] == "9.50")
            #expect(traits[path: "plan.value"] == "pro")
            #expect(traits[path: "plan.sourceId"]?.string == UUID(high: 0, low: 0).hyphenated)
            let facts = try await database.timeline().map(\.body).filter { $0["kind"] == "event" }
            #expect(facts.contains { $0[path: "event.traitRules.interests"] == "union" })
            #expect(facts.contains { $0[path: "event.traitRules.plan"] == "priority:1" })
            // Undone, each has what was said under it.
            let merges = try await service.request("GET", "/v1/merges").json
            let id = try #require(merges[path: "items.0.mergeId"]?.string)
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "x"])
            let apart = try await service.request(
                "POST", "/v1/profiles/lookup", json: ["type": "anonymousId", "value": "a"])
            #expect(apart.json[path: "traits.interests.value"] == ["hats", "bags"])
        }
    }

    @Test("group calls make accounts with traits of their own, and their members follow merges and undos")
    func accounts() async throws {
        try await with { service, database in
            func group(
                _ number: Int, _ id: String, device: String, _ traits: [String: JSON], late: Duration = .zero
            )
                -> TrackingEvent
            {
                var call = event(number, .group, device: device, traits: traits, late: late)
                call.groupID = id
                return call
            }
            try await database.publish([
                group(0, "acme", device: "a", ["plan": "pro", "seats": 5]),
                group(1, "acme", device: "b", ["plan": "free"], late: .minutes(1)),
                event(2, user: "u", device: "a"), event(3, user: "u", device: "b"),
                group(4, "globex", device: "c", ["plan": "trial"]),
            ])
            try await database.consumer().drain()
            let account = try await service.request("GET", "/v1/accounts/acme").json
            #expect(account[path: "traits.plan.value"] == "pro")
            #expect(account[path: "traits.plan.messageId"] == "m0")
            #expect(account["members"] == 1)
            let id =
                try await service.request("GET", "/v1/merges").json[path: "items.0.mergeId"]?.string ?? ""
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "x"])
            let first = try await service.request("GET", "/v1/accounts/acme/members?limit=1").json
            let cursor = try #require(first["nextCursor"]?.string)
            let second = try await service.request(
                "GET", "/v1/accounts/acme/members?limit=1&cursor=\(cursor)"
            ).json
            #expect(second["items"]?.array?.count == 1 && second["nextCursor"] == .null)
            #expect(first[path: "items.0.profileId"] != second[path: "items.0.profileId"])
            #expect(try await service.request("GET", "/v1/accounts/nobody").status == 404)
            #expect(try await service.request("GET", "/v1/accounts/nobody/members").status == 404)
        }
    }

    @Test("a mistake is refused with its line and the reason, and the policy stays")
    func mistake() async throws {
        try await with { service, _ in
            let answer = try await put("types:\n  userId: {priority: 10, limit: many}", to: service)
            #expect(answer.status == 400)
            #expect(answer.json["type"] == "https://martlet.dev/problems/invalid-identity-policy")
            #expect(answer.json[path: "errors.0.line"] == 2)
            #expect(answer.json[path: "errors.0.path"] == "types.userId.limit")
            #expect(answer.json["detail"]?.string?.contains("expected a whole number") == true)
            #expect(try await put(String(repeating: "x", count: 300_000), to: service).status == 413)
            #expect(try await service.request("GET", "/v1/identity-policy").json["version"] == 0)
        }
    }

    @Test("what is withheld stands on the timeline and counts with whom else a value was seen")
    func withheld() async throws {
        try await with { service, database in
            try await database.publish([event(0, user: "anna", device: "family")])
            try await database.consumer().drain()
            try await database.publish([
                event(1, user: "ben", device: "family"),
                event(2, user: "ben", device: "family"), event(3, user: "null", device: "x"),
            ])
            try await database.consumer().drain()
            let withheld = try await database.timeline().map(\.body).filter { $0["kind"] == "withheld" }
            #expect(withheld.count == 3)
            #expect(withheld.filter { $0[path: "items.0.reason"] == "limit" }.count == 2)
            #expect(withheld.filter { $0[path: "items.0.reason"] == "blocked" }.count == 1)
            let counts = try await database.owner.query(
                "SELECT shared_count FROM profiles.identifier WHERE shared_count > 0")
            #expect(try counts.map { try $0.get("shared_count", as: Int.self) } == [1])
        }
    }

    @Test("a rehearsal tells who would be one and who several, with examples, and changes nothing")
    func rehearsal() async throws {
        try await with { service, database in
            var sold = event(3, .identify, device: "c")
            sold.traits["phone"] = "079 123 45 67"
            var called = event(4, .identify, device: "d")
            called.traits["phone"] = "+41 79 123 45 67"
            try await database.publish([
                event(0, device: "a", email: "x@x.org"), event(1, device: "b", email: "x@x.org"),
                event(2, user: "u"), sold, called,
            ])
            try await database.consumer().drain()
            let text = ShippedPolicy.source
            let before = try await database.timeline().count
            let same = try await rehearse(text, in: service)
            #expect(same["events"] == 5)
            #expect(same[path: "people.now"] == 4)
            #expect(same[path: "staying.people"] == 4)
            let staying = same[path: "staying.examples"]?.array ?? []
            #expect(Set(staying.compactMap { $0["profileId"]?.string }).count == 4)
            #expect(staying.allSatisfy { $0["profiles"] == 1 })
            let region = try await rehearse("defaultRegion: CH\n" + text, in: service)
            #expect(region[path: "people.then"] == 3)
            #expect(region[path: "merging.people"] == 2)
            #expect(region[path: "merging.examples.0.profileIds"]?.array?.count == 2)
            let strict = try await rehearse(text.replacing("test@test.*", with: "x@x.org"), in: service)
            #expect(strict[path: "splitting.people"] == 1)
            #expect(strict[path: "splitting.examples.0.parts"] == 2)
            #expect(strict[path: "withheld.blocked"] == 2)
            #expect(try await database.timeline().count == before)
            #expect(try await service.request("GET", "/v1/identity-policy").json["version"] == 0)
            let mistake = try await service.request(
                "POST", "/v1/identity-policy/rehearsal", body: Array("types: 1".utf8))
            #expect(mistake.status == 400)
        }
    }

    private func rehearse(_ text: String, in service: ServiceHarness) async throws -> JSON {
        let answer = try await service.request(
            "POST", "/v1/identity-policy/rehearsal", body: Array(text.utf8),
            headers: ["Content-Type": "application/yaml"])
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json
    }

    private func expect(
        _ report: JSON, now: Int64, merging: Int64 = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(report[path: "people.now"] == .integer(now), sourceLocation: sourceLocation)
        #expect(report[path: "merging.people"] == .integer(merging), sourceLocation: sourceLocation)
        #expect(report[path: "splitting.people"] == 0, sourceLocation: sourceLocation)
        #expect(
            report[path: "staying.people"] == .integer(now - merging), sourceLocation: sourceLocation)
    }

    @Test("whose merge was undone is rehearsed as two, later evidence or not, until an operator allows it")
    func rehearsalOfUndone() async throws {
        try await with { service, database in
            let text = ShippedPolicy.source
            try await database.publish([
                event(0, device: "phone"), event(1, .identify, user: "u", device: "laptop"),
                event(2, user: "u", device: "phone"), event(3, device: "phone", email: "p@x.org"),
            ])
            // One by one, so that each finds the others before it.
            try await database.consumer(batch: 1).drain()
            expect(try await rehearse(text, in: service), now: 1)
            let merges = try await service.request("GET", "/v1/merges").json
            let id = try #require(merges[path: "items.0.mergeId"]?.string)
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "wrong"])
            let undone = try await rehearse(text, in: service)
            expect(undone, now: 2)
            #expect(undone[path: "withheld.mergeUndone"]?.integer ?? 0 >= 1)
            #expect(
                Set(undone[path: "staying.examples"]?.array?.compactMap { $0["profileId"]?.string } ?? [])
                    == Set(merges[path: "items.0.between"]?.array?.compactMap(\.string) ?? []))

            try await database.publish([event(10, user: "u", device: "phone")])
            try await database.consumer().drain()
            expect(try await rehearse(text, in: service), now: 2)

            _ = try await service.request("POST", "/v1/merges/\(id)/allow", json: ["note": "she is he"])
            expect(try await rehearse(text, in: service), now: 2, merging: 2)
        }
    }

    @Test("a new kind of evidence joins nobody in a rehearsal whose merge was undone, whoever made it")
    func rehearsalOfNewEvidence() async throws {
        try await with { service, database in
            var sold = event(0, .identify, device: "c")
            sold.traits["phone"] = "079 123 45 67"
            var called = event(1, .identify, device: "d")
            called.traits["phone"] = "+41 79 123 45 67"
            try await database.publish([sold, called, event(2, device: "d")])
            try await database.consumer().drain()
            let text = "defaultRegion: CH\n" + ShippedPolicy.source
            expect(try await rehearse(text, in: service), now: 2, merging: 2)
            var found: [JSON] = []
            for device in ["c", "d"] {
                let answer = try await service.request(
                    "POST", "/v1/profiles/lookup", json: ["type": "anonymousId", "value": .string(device)])
                found.append(answer.json["profileId"] ?? .null)
            }
            let made = try await service.request(
                "POST", "/v1/merges", json: ["profileIds": .array(found), "note": "x"])
            #expect(made.status == 201, "\(made.text)")
            expect(try await rehearse(text, in: service), now: 1)
            let id = made.json["mergeId"]?.string ?? ""
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "x"])
            expect(try await rehearse(text, in: service), now: 2)
        }
    }
}
