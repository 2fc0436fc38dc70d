import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite("Corrections", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct CorrectionTests {
    private let events = [
        event(0, .identify, user: "u", traits: ["email": "wrong@x.org", "contact": "Wrong@x.org", "age": 7]),
        event(1, .identify, user: "other", traits: ["email": "other@x.org"]),
    ]

    private func correct(
        _ id: String, _ body: JSON, in api: ProfileAPI, headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await api.post("/v1/profiles/\(id)/corrections", body, headers: headers)
    }

    private func address(_ value: String, replacing wrong: String) -> JSON {
        ["identifiers": [["type": "email", "value": .string(value), "replaces": .string(wrong)]]]
    }

    @Test(
        "the wrong address leads to nobody any more, the right one to the person, and its owner is somebody new"
    )
    func replaced() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let order = address("right@x.org", replacing: "WRONG@x.org")
            let done = try await correct(id, order, in: api)
            #expect(done.status == 200)
            #expect(done.json["detached"] == 1)
            #expect(try await api.lookUp("email", "wrong@x.org") == .null)
            let profile = try await api.lookUp("email", "right@x.org")
            #expect(profile["profileId"]?.string == id)
            // Whatever repeats it changes with it.
            #expect(profile[path: "traits.email.value"] == "right@x.org")
            #expect(profile[path: "traits.contact.value"] == "right@x.org")
            #expect(profile["identifiers"]?.array?.contains { $0["value"] == "wrong@x.org" } == false)
            let right = try await api.post("/v1/profiles/search", ["prefix": "right@x"])
            #expect(right.json["items"]?.array?.count == 1)
            let found = try await api.post("/v1/profiles/search", ["prefix": "wrong@x"])
            #expect(found.json["items"] == [])
            // Said again it changes nothing.
            let again = try await correct(id, order, in: api)
            #expect(again.json["verdict"] == "unchanged")
            #expect(again.json["detached"] == 0)
            // Its owner turns up.
            try await api.database.publish([event(9, user: "owner", traits: ["email": "wrong@x.org"])])
            try await api.database.consumer().drain()
            #expect(try await api.lookUp("userId", "owner")["profileId"]?.string != id)
        }
    }

    @Test("a userId is replaced although a person holds but one")
    func userID() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let second = try await correct(
                id, ["identifiers": [["type": "userId", "value": "u2"]]], in: api)
            #expect(second.status == 409)
            #expect(second.json["type"]?.string?.hasSuffix("/identifier-limit") == true)
            let replaced = try await correct(
                id,
                ["identifiers": [["type": "userId", "value": "u2", "replaces": "u"]], "traits": ["age": 8]],
                in: api)
            #expect(replaced.status == 200)
            #expect(try await api.lookUp("userId", "u") == .null)
            let profile = try await api.lookUp("userId", "u2")
            #expect(profile["profileId"]?.string == id)
            #expect(profile[path: "traits.age.value"] == 8)
        }
    }

    @Test(
        "nobody is joined or brought back: what is somebody else's is refused whole, and so is who was erased"
    )
    func refused() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let taken = try await correct(id, address("other@x.org", replacing: "wrong@x.org"), in: api)
            #expect(taken.status == 409)
            #expect(taken.json["type"]?.string?.hasSuffix("/identifier-taken") == true)
            #expect(try await api.lookUp("email", "wrong@x.org")["profileId"]?.string == id)
            let foreign = try await correct(id, address("new@x.org", replacing: "other@x.org"), in: api)
            #expect(foreign.status == 409)
            #expect(foreign.json["type"]?.string?.hasSuffix("/identifier-not-held") == true)
            #expect(try await api.lookUp("email", "new@x.org") == .null)
            #expect(try await api.lookUp("userId", "other")["profileId"]?.string != id)
            let unknown = "018bcfe5-6800-732e-8bd2-68de555c384f"
            #expect(try await correct(unknown, ["traits": ["a": 1]], in: api).status == 404)
            try await api.database.owner.execute(
                "UPDATE profiles.profile SET erased_at = now() WHERE profile_id = \(ProfileID(id))")
            #expect(
                try await correct(id, address("back@x.org", replacing: "wrong@x.org"), in: api).status == 404)
            #expect(try await api.lookUp("email", "back@x.org") == .null)
            for body: JSON in [[:], ["identifiers": []], ["identifiers": [["type": "email"]]], ["a": 1]] {
                #expect(try await correct(id, body, in: api).status == 400, "\(body)")
            }
        }
    }

    @Test("what is right holds, whatever the rule of a trait, and what was said before does not come back")
    func ruled() async throws {
        try await ProfileAPI.with { api in
            let policy =
                ShippedPolicy.source + """

                    traits:
                      born: { rule: first }
                      spent: { rule: max }
                      interests: { rule: union }

                    """
            let put = try await api.service.request("PUT", "/v1/identity-policy", body: Array(policy.utf8))
            #expect(put.status == 200, "\(put.text)")
            try await api.database.publish([
                event(
                    0, .identify, user: "u",
                    traits: ["born": "1990", "spent": 90, "interests": ["hats", "bags"]]),
                event(5, .identify, user: "u", traits: ["born": "1980", "spent": 9, "interests": ["shoes"]]),
            ])
            try await api.database.consumer().drain()
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let order: JSON = ["traits": ["born": "1991", "spent": 7, "interests": ["hats"]]]
            #expect(try await correct(id, order, in: api).json["verdict"] == "updated")
            func expectRight() async throws {
                let traits = try await api.lookUp("userId", "u")["traits"] ?? .null
                #expect(traits[path: "born.value"] == "1991")
                #expect(traits[path: "spent.value"] == 7)
                #expect(traits[path: "interests.value"] == ["hats"])
            }
            try await expectRight()
            #expect(try await correct(id, order, in: api).json["verdict"] == "unchanged")
            try await api.database.publish([
                event(3, .identify, user: "u", traits: ["born": "1970", "spent": 99, "interests": ["bags"]])
            ])
            try await api.database.consumer().drain()
            try await expectRight()
        }
    }

    @Test("a correction of somebody by a profile that was merged is written to the one that they are now")
    func merged() async throws {
        let history = [
            event(0, .identify, device: "d", traits: ["age": 7]), event(1, user: "u"),
            event(2, user: "u", device: "d"),
        ]
        try await ProfileAPI.with(history) { api in
            let profile = try await api.lookUp("userId", "u")
            let now = try #require(profile["profileId"]?.string)
            let before = try #require(profile["mergedProfileIds"]?.array?.first?.string)
            #expect(
                try await correct(before, ["traits": ["age": 8]], in: api).json["profileId"] == .string(now))
            #expect(try await api.lookUp("userId", "u")[path: "traits.age.value"] == 8)
            let rows = try await api.database.owner.query(
                "SELECT profile_id FROM profiles.trait WHERE name = 'age' ORDER BY occurred_at DESC LIMIT 1")
            #expect(try rows.first?.get("profile_id", as: ProfileID.self).description == now)
        }
    }

    @Test("an event from before a correction that comes late does not bring the wrong identifier back")
    func late() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            #expect(
                try await correct(id, address("right@x.org", replacing: "wrong@x.org"), in: api).status == 200
            )
            try await api.database.publish([
                event(2, .identify, user: "u", traits: ["email": "wrong@x.org", "late": 1])
            ])
            try await api.database.consumer().drain()
            #expect(try await api.lookUp("email", "wrong@x.org") == .null)
            let profile = try await api.lookUp("userId", "u")
            #expect(profile["profileId"]?.string == id)
            #expect(profile[path: "traits.email.value"] == "right@x.org")
            #expect(profile[path: "traits.late.value"] == 1)
            // Its owner comes; what u said before joins the two no more than it gave it back.
            try await api.database.publish([
                event(3, .identify, user: "owner", traits: ["email": "wrong@x.org"])
            ])
            try await api.database.consumer().drain()
            let owner = try #require(try await api.lookUp("email", "wrong@x.org")["profileId"]?.string)
            #expect(owner != id)
            try await api.database.publish([
                event(4, .identify, device: "d", traits: ["email": "right@x.org"])
            ])
            try await api.database.publish([
                event(5, .identify, device: "d", traits: ["email": "wrong@x.org"])
            ])
            try await api.database.consumer().drain()
            #expect(try await api.lookUp("anonymousId", "d")["profileId"]?.string == id)
            #expect(try await api.lookUp("email", "wrong@x.org")["profileId"]?.string == owner)
            let kept = try await api.database.owner.query("SELECT FROM identity.corrected_identifier")
            #expect(kept.count == 1)
        }
    }
}
