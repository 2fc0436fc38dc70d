import Models
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Changing traits", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct TraitTests {
    private let events = [
        event(0, device: "d"),
        event(1, .identify, user: "u", traits: ["plan": "pro", "city": "Bern"]),
        event(2, user: "u", device: "d"),
    ]

    private func patch(
        _ id: String, _ traits: JSON, etag: String? = nil, in api: ProfileAPI
    ) async throws -> ServiceHarness.Answer {
        try await api.service.request(
            "PATCH", "/v1/profiles/\(id)/traits", json: traits, headers: etag.map { ["If-Match": $0] } ?? [:])
    }

    @Test("a trait is changed only from the version that was read, and the fact stands on the timeline")
    func ifMatch() async throws {
        try await ProfileAPI.with(events) { api in
            let read = try await api.post("/v1/profiles/lookup", ["type": "userId", "value": "u"])
            let id = try #require(read.json["profileId"]?.string)
            let etag = try #require(read.headers["etag"])
            #expect(try await api.get("/v1/profiles/\(id)").headers["etag"] == etag)
            let changed = try await patch(id, ["plan": "free", "city": .null], etag: etag, in: api)
            #expect(changed.status == 200)
            #expect(changed.json[path: "traits.plan.value"] == "free")
            #expect(changed.json[path: "traits.city"] == nil)
            let current = try #require(changed.headers["etag"])
            #expect(current != etag)
            let stale = try await patch(id, ["plan": "gold"], etag: etag, in: api)
            #expect(stale.status == 412)
            #expect(stale.headers["etag"] == current)
            #expect(try await patch(id, ["plan": "gold"], etag: "\"x\", \(current)", in: api).status == 200)
            #expect(try await patch(id, ["plan": "iron"], etag: "*", in: api).status == 200)
            // A merged id leads to the same profile.
            let merged = try #require(read.json[path: "mergedProfileIds.0"]?.string)
            #expect(
                try await patch(merged, ["plan": "tin"], in: api).json[path: "traits.plan.value"] == "tin")
            let timeline = try await api.get("/v1/profiles/\(id)/timeline?type=identify")
            #expect(timeline.json["items"]?.array?.count == 5)
            // What holds already is no news.
            #expect(try await patch(id, ["plan": "tin", "none": .null], in: api).status == 200)
            #expect(
                try await api.get("/v1/profiles/\(id)/timeline?type=identify").json["items"]?.array?.count
                    == 5)
        }
    }

    @Test("that somebody was seen again is no change, and of two who change the same version one does")
    func races() async throws {
        try await ProfileAPI.with(events) { api in
            let read = try await api.post("/v1/profiles/lookup", ["type": "userId", "value": "u"])
            let id = try #require(read.json["profileId"]?.string)
            let etag = try #require(read.headers["etag"])
            try await api.database.publish([event(50, user: "u")])
            try await api.database.consumer().drain()
            #expect(try await api.get("/v1/profiles/\(id)").headers["etag"] == etag)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in Int64(0)..<6 {
                    group.addTask {
                        try await patch(id, ["plan": .integer(number)], etag: etag, in: api).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [200, 412, 412, 412, 412, 412])
        }
    }

    @Test("what people are known by is no trait alone, and bad input is refused")
    func badInput() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let address = try await patch(id, ["email": "new@x.org"], in: api)
            #expect(address.status == 400)
            #expect(address.json["type"]?.string?.hasSuffix("/identifier-not-trait") == true)
            #expect(try await patch(id, [1], in: api).status == 400)
            #expect(try await patch(id, ["": 1], in: api).status == 400)
            #expect(try await patch("nobody", ["a": 1], in: api).status == 400)
            let unknown = "018bcfe5-6800-732e-8bd2-68de555c384f"
            #expect(try await patch(unknown, ["a": 1], in: api).status == 404)
            let traits = Dictionary(uniqueKeysWithValues: (0..<257).map { ("t\($0)", JSON.integer(1)) })
            #expect(try await patch(id, .object(traits), in: api).status == 400)
            let form = try await api.service.request(
                "PATCH", "/v1/profiles/\(id)/traits", body: Array("a=1".utf8),
                headers: ["Content-Type": "text/plain"])
            #expect(form.status == 415)
            let merge = try await api.service.request(
                "PATCH", "/v1/profiles/\(id)/traits", body: Array(#"{"a":1}"#.utf8),
                headers: ["Content-Type": "application/merge-patch+json"])
            #expect(merge.status == 200)
            let reader = try await api.key([.profilesRead])
            let refused = try await api.service.request(
                "PATCH", "/v1/profiles/\(id)/traits", json: ["a": 2], as: reader)
            #expect(refused.status == 403)
        }
    }
}
