import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Merges over HTTP", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MergeTests {
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

    private func lookUp(_ type: String, _ value: String, in service: ServiceHarness) async throws -> JSON {
        try await service.request(
            "POST", "/v1/profiles/lookup", json: ["type": .string(type), "value": .string(value)]
        ).json
    }

    /// A phone that was anonymous and turned out, as it seemed, to be u's.
    private static let merged = [
        event(0, device: "phone"), event(1, .identify, user: "u", device: "laptop", traits: ["plan": "pro"]),
        event(2, user: "u", device: "phone"), event(3, .identify, device: "phone", traits: ["city": "Bern"]),
    ]

    @Test("undoing a merge gives back both people with their identifiers, traits and timelines")
    func undo() async throws {
        try await with(Self.merged) { service, database in
            let merges = try await service.request("GET", "/v1/merges").json
            let merge = try #require(merges[path: "items.0"])
            let id = try #require(merge["mergeId"]?.string)
            #expect(merge["status"] == "active")
            #expect(merge[path: "cause.joinedBy"] == "anonymousId")
            #expect(try await service.request("GET", "/v1/merges/\(id)").json == merge)

            let undone = try await service.request(
                "POST", "/v1/merges/\(id)/undo", json: ["note": "the phone is his sister's"],
                headers: ["Idempotency-Key": "k1"])
            #expect(undone.status == 200)
            #expect(undone.json["status"] == "undone")
            #expect(undone.json[path: "undone.note"] == "the phone is his sister's")

            let user = try await lookUp("userId", "u", in: service)
            let phone = try await lookUp("anonymousId", "phone", in: service)
            #expect(user["profileId"] != phone["profileId"])
            #expect(user["mergedProfileIds"] == [])
            #expect(user[path: "traits.plan.value"] == "pro")
            #expect(user[path: "traits.city.value"] == nil)
            #expect(phone[path: "traits.city.value"] == "Bern")
            #expect(phone["identifiers"]?.array?.map { $0["value"]?.string } == ["phone"])
            func messages(_ profile: JSON) async throws -> [String] {
                let page = try await service.request(
                    "GET", "/v1/profiles/\(profile["profileId"]?.string ?? "")/timeline"
                ).json
                return page["items"]?.array?.compactMap { $0[path: "event.messageId"]?.string } ?? []
            }
            let parted = try await database.owner.query("SELECT profile_id FROM profiles.unmerged_profile")
            #expect(
                Set(try parted.map { try $0.get("profile_id", as: ProfileID.self).description })
                    == Set([user, phone].compactMap { $0["profileId"]?.string }))
            #expect(try await messages(user) == ["m2", "m1"])
            #expect(try await messages(phone) == ["m3", "m0"])
            let facts = try await database.timeline().map { try ProfileFact(json: $0.body) }
            #expect(
                facts.filter { $0.kind == .unmerge }.map(\.profileID.description) == [
                    user["profileId"]?.string
                ])
            #expect(
                facts.filter { $0.kind == .unmergedFrom }.map(\.profileID.description)
                    == [phone["profileId"]?.string])
        }
    }

    @Test("the same call once more is answered as before, another one is told that it came too late")
    func idempotency() async throws {
        try await with(Self.merged) { service, database in
            let id = try #require(
                try await service.request("GET", "/v1/merges").json[path: "items.0.mergeId"]?.string)
            func undo(_ key: String, note: JSON = "wrong") async throws -> ServiceHarness.Answer {
                try await service.request(
                    "POST", "/v1/merges/\(id)/undo", json: ["note": note], headers: ["Idempotency-Key": key])
            }
            let first = try await undo("k1")
            let again = try await undo("k1")
            #expect(first.json == again.json)
            #expect(try await undo("k1", note: "else").status == 409)
            let late = try await undo("k2")
            #expect(late.status == 409)
            #expect(late.json["type"] == "https://martlet.dev/problems/merge-undone")
            let kinds = try await database.timeline().compactMap { $0.body["kind"]?.string }
            #expect(kinds.filter { $0 == "unmerge" }.count == 1)
        }
    }

    @Test(
        "an erasure after an undoing names whom it erases, also where their events stand under the other one's key"
    )
    func erasureAfterUndoing() async throws {
        try await with(Self.merged) { service, database in
            // While they are taken for one.
            try await database.publish([event(4, device: "phone")])
            try await database.consumer().drain()
            let id = try #require(
                try await service.request("GET", "/v1/merges").json[path: "items.0.mergeId"]?.string)
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "wrong"])
            let shared = try #require(
                try await database.owner.query(
                    """
                    SELECT m.survivor_id, m.merged_id FROM profiles.merge m
                    JOIN profiles.timeline t ON t.key = m.survivor_id::text AND t.profile_id = m.merged_id
                    """
                ).first)
            let goes: ProfileID = try shared.get("merged_id")
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.derived(at: start, from: "request")), type: .erasure,
                profileID: goes, profileIDs: [goes], requestedAt: start)
            _ = try await database.pool.transaction { try await database.privacy().erase(request, in: $0) }
            let erased = try await database.timeline().map { try ProfileFact(json: $0.body) }
                .filter { $0.kind == .erased }.map(\.profileID)
            #expect(Set(erased) == [goes])
        }
    }

    @Test("later evidence is reported and not applied, until an operator allows it")
    func suppressed() async throws {
        try await with(Self.merged) { service, database in
            let id = try #require(
                try await service.request("GET", "/v1/merges").json[path: "items.0.mergeId"]?.string)
            #expect(
                try await service.request("POST", "/v1/merges/\(id)/allow", json: ["note": "x"]).status == 409
            )
            _ = try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "wrong"])
            try await database.publish([event(10, user: "u", device: "phone"), event(11, device: "phone")])
            try await database.consumer().drain()
            let user = try await lookUp("userId", "u", in: service)
            let phone = try await lookUp("anonymousId", "phone", in: service)
            #expect(user["profileId"] != phone["profileId"])
            let reported = try await service.request("GET", "/v1/merges?status=suppressed").json
            #expect(reported[path: "items.0.mergeId"]?.string == id)
            #expect(reported[path: "items.0.suppressed.count"] == 1)
            #expect(reported[path: "items.0.suppressed.lastCause.messageId"] == "m10")
            let withheld = try await database.timeline().map(\.body).filter { $0["kind"] == "withheld" }
            #expect(withheld.map { $0[path: "items.0.reason"] } == ["mergeUndone"])

            let allowed = try await service.request(
                "POST", "/v1/merges/\(id)/allow", json: ["note": "she is he"])
            #expect(allowed.json["status"] == "allowed")
            #expect(try await service.request("GET", "/v1/merges?status=suppressed").json["items"] == [])
            try await database.publish([event(20, user: "u", device: "phone")])
            try await database.consumer().drain()
            let one = try await lookUp("anonymousId", "phone", in: service)
            #expect(one["profileId"] == user["profileId"])
            #expect(
                try await service.request("GET", "/v1/merges?status=active").json["items"]?.array?.count == 1)
        }
    }

    @Test("an operator merges two people with a note, once, and takes it back")
    func byHand() async throws {
        try await with([event(0, user: "a"), event(1, user: "b")]) { service, _ in
            let ids = [
                try await lookUp("userId", "a", in: service)["profileId"] ?? .null,
                try await lookUp("userId", "b", in: service)["profileId"] ?? .null,
            ]
            let body: JSON = ["profileIds": .array(ids), "note": "called and said so"]
            let made = try await service.request("POST", "/v1/merges", json: body)
            #expect(made.status == 201)
            #expect(made.json[path: "cause.note"] == "called and said so")
            #expect(made.json["profileId"] == ids[0])
            let circle = try await service.request("POST", "/v1/merges", json: body)
            #expect(circle.status == 409)
            #expect(circle.json["type"] == "https://martlet.dev/problems/already-merged")
            let profile = try await lookUp("userId", "b", in: service)
            #expect(profile["profileId"] == ids[0])
            let id = made.json["mergeId"]?.string ?? ""
            #expect(
                try await service.request("POST", "/v1/merges/\(id)/undo", json: ["note": "no"]).status == 200
            )
            #expect(try await lookUp("userId", "b", in: service)["profileId"] == ids[1])
            // An operator who merges them once more has looked at it.
            #expect(try await service.request("POST", "/v1/merges", json: body).status == 201)
            #expect(
                try await service.request("GET", "/v1/merges?status=allowed").json["items"]?.array?.count == 1
            )
            let own = try await service.request("GET", "/v1/merges?profileId=\(ids[1].string ?? "")").json
            #expect(own["items"]?.array?.count == 2)
        }
    }

    private static let somebody = "018bcfe5-6800-732e-8bd2-68de555c384f"

    private static let badRequests: [(String, String, String?, Int)] = [
        ("GET", "/v1/merges/nothing", nil, 400), ("GET", "/v1/merges/\(somebody)", nil, 404),
        ("GET", "/v1/merges?status=odd", nil, 400), ("GET", "/v1/merges?profileId=x", nil, 400),
        ("GET", "/v1/merges?cursor=WyJ4Il0", nil, 400),
        ("POST", "/v1/merges", #"{"note":"x"}"#, 400),
        ("POST", "/v1/merges", #"{"note":"x","profileIds":["a","b"]}"#, 400),
        ("POST", "/v1/merges", #"{"profileIds":["\#(somebody)","\#(somebody)"]}"#, 400),
        ("POST", "/v1/merges", #"{"note":"x","profileIds":["\#(somebody)","\#(somebody)"]}"#, 404),
        ("POST", "/v1/merges/\(somebody)/undo", #"{}"#, 400),
        ("POST", "/v1/merges/\(somebody)/undo", #"{"note":"x"}"#, 404),
        ("POST", "/v1/merges/\(somebody)/undo", #"{"note":"x","force":true}"#, 400),
        ("POST", "/v1/merges/\(somebody)/allow", #"{"note":"x"}"#, 404),
    ]

    @Test("bad input is answered with a problem that says what was expected")
    func badInput() async throws {
        try await with { service, _ in
            for (method, path, body, status) in Self.badRequests {
                let answer = try await service.request(method, path, body: body.map { Array($0.utf8) })
                #expect(answer.status == status, "\(method) \(path) \(body ?? "")")
                #expect(answer.headers["content-type"] == "application/problem+json", "\(method) \(path)")
            }
        }
    }

    @Test("random events, undos and permissions leave the database as memory has it")
    func oracle() async throws {
        var generator = seededGenerator()
        for _ in 0..<2 {
            let events = (0..<90).map { TrackingEvent.random($0, using: &generator) }
            try await with { service, database in
                var people = RememberedPeople()
                var rest = events[...]
                while !rest.isEmpty {
                    let batch = Array(rest.prefix(Int.random(in: 1...12, using: &generator)))
                    rest = rest.dropFirst(batch.count)
                    try await database.pool.transaction { transaction in
                        let records = batch.map {
                            StreamRecord(
                                shard: Shard(hashing: "x"), offset: 1, key: "x", recordedAt: start,
                                body: $0.json)
                        }
                        try await EventResolution(resolution: database.resolution)
                            .resolve(StreamBatch(records: records, now: start), in: transaction)
                    }
                    var resolver = people.resolver(for: batch)
                    for event in batch { try resolver.resolve(event) }
                    people.take(resolver)
                    guard !people.merges.isEmpty, Bool.random(using: &generator) else { continue }
                    let number = Int.random(in: 0..<people.merges.count, using: &generator)
                    let id = people.merges[number].id
                    if people.undone.contains(id) {
                        people.allow(number)
                        _ = try await service.request("POST", "/v1/merges/\(id)/allow", json: ["note": "x"])
                    } else {
                        people.undo(number)
                        let answer = try await service.request(
                            "POST", "/v1/merges/\(id)/undo", json: ["note": "x"])
                        #expect(answer.status == 200, "\(answer.text)")
                    }
                }
                let rows = try await database.owner.query(
                    "SELECT profile_id, canonical_id, is_known, is_separated FROM profiles.profile")
                #expect(rows.count == people.profiles.count)
                for row in rows {
                    let state = try #require(people.profiles[try row.get("profile_id")])
                    #expect(try row.get("canonical_id", as: ProfileID.self) == state.canonicalID)
                    guard state.id == state.canonicalID else { continue }
                    #expect(try row.get("is_known", as: Bool.self) == state.isKnown)
                    #expect(try row.get("is_separated", as: Bool.self) == state.isSeparated)
                }
                for row in try await database.owner.query(
                    "SELECT merge_id, suppressed_count FROM profiles.merge")
                {
                    #expect(
                        try row.get("suppressed_count", as: Int.self)
                            == people.suppressed[try row.get("merge_id")] ?? 0)
                }
                let store = database.store
                for (id, traits) in people.effectiveTraits {
                    let person = try #require(try await store.person(id, in: database.pool))
                    #expect(try await store.traits(of: person, in: database.pool) == traits)
                }
            }
        }
    }
}
