import IdentityDomain
import Models
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Looking a record up by matching",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct MatchingLookupTests {
    private static let people = MadeUpPeople(120, missing: 0, seed: 7)
    private static let wilhelmina: [String: JSON] = [
        "firstName": "Wilhelmina", "lastName": "Featherstone", "birthday": "1951-03-30", "city": "Nowhere",
        "phone": "0555123456",
    ]
    private static let misspelt: JSON = [
        "firstName": "Wilhelmine", "lastName": "Fetherstone", "birthday": "1951-03-30", "phone": "0555123456",
    ]

    private func traits(_ record: Int) -> JSON {
        .object(
            Dictionary(
                zip(MatchingWorld.names, Self.people.columns.map { $0[record].map { .string($0) } ?? .null }),
                uniquingKeysWith: { first, _ in first }))
    }

    @Test("who was erased is found no more, and makes the index be made anew while others changed little")
    func forgetting() throws {
        let mapping = try MatchMapping([.surname: ["lastName"], .city: ["city"]])
        var columns = MatchingColumns(mapping)
        let ids = (0..<240).map { _ in ProfileID(UUIDv7.make(at: Instant(milliseconds: 1_700_000_000_000))) }
        columns.append(
            ids.enumerated().map { number, id in
                MatchingReading.Record(
                    profileID: id, updatedAt: .distantPast, isKnown: false,
                    values: ["name\(number % 90)", "town\(number % 7)"])
            })
        var index = ProfileIndex(columns, mapping, [:])
        index.remove(ids[0])
        #expect(!index.isOutdated(after: .hours(24), erasedFor: .zero))
        index.erase(ids[1])
        #expect(index.updatedAt(of: ids[1]) == nil)
        #expect(!index.isOutdated(after: .hours(24), erasedFor: .hours(1)))
        #expect(index.isOutdated(after: .hours(24), erasedFor: .zero))
    }

    /// Asks until the index is made.
    private func found(_ traits: JSON, in world: MatchingWorld) async throws -> [JSON] {
        while true {
            let answer = try await world.lookUp(traits)
            if answer.status == 503, answer.headers["retry-after"] != nil { continue }
            #expect(answer.status == 200, "\(answer.text)")
            return answer.json["items"]?.array ?? []
        }
    }

    @Test("a record finds its person, with a score and what each field adds")
    func finds() async throws {
        try await MatchingWorld.with(MatchingWorld.events(Self.people)) { world in
            let items = try await found(traits(10), in: world)
            let first = try #require(items.first)
            #expect(first["profileId"]?.string == (try await world.profile(10)))
            #expect(first["verdict"] == "merge")
            #expect(first["score"]?.number ?? 0 > 0.98)
            let fields = first[path: "explanation.fields"]?.array ?? []
            let surname = try #require(fields.first { $0["field"] == "surname" })
            #expect(surname["level"] == "equal")
            #expect(
                surname["values"]?.array == [
                    traits(10)["lastName"] ?? .null, traits(10)["lastName"] ?? .null,
                ])
            #expect(fields.first { $0["field"] == "email" }?["level"] == .null)
        }
    }

    @Test("a profile that was created just now is found, changed, merged, parted and erased as it is then")
    func fresh() async throws {
        try await MatchingWorld.with(MatchingWorld.events(Self.people)) { world in
            #expect(try await found(Self.misspelt, in: world).isEmpty)
            let upserted = try await world.service.request(
                "POST", "/v1/profiles",
                json: [
                    "identifiers": [["type": "userId", "value": "wf"]], "traits": .object(Self.wilhelmina),
                ])
            #expect(upserted.status == 201)
            let id = try #require(upserted.json["profileId"])
            #expect(try await found(Self.misspelt, in: world).map { $0["profileId"] } == [id])

            // Another profile of hers is found as well, and no longer when the two are one.
            try await world.resolve([
                event(1000, .identify, device: "tablet", traits: Self.wilhelmina)
            ])
            let both = try await found(Self.misspelt, in: world).compactMap { $0["profileId"] }
            #expect(both.count == 2)
            let merge = try await world.service.request(
                "POST", "/v1/merges", json: ["profileIds": .array(both), "note": "hers"])
            #expect(try await found(Self.misspelt, in: world).map { $0["profileId"] } == [id])
            let mergeID = merge.json["mergeId"]?.string ?? ""
            _ = try await world.service.request("POST", "/v1/merges/\(mergeID)/undo", json: ["note": "no"])
            #expect(
                try await Set(found(Self.misspelt, in: world).compactMap { $0["profileId"] }) == Set(both))

            let renamed = try await world.service.request(
                "POST", "/v1/profiles",
                json: [
                    "identifiers": [["type": "userId", "value": "wf"]],
                    "traits": [
                        "firstName": "Bo", "lastName": "Ng", "birthday": "2001-01-01", "city": .null,
                        "phone": "1",
                    ],
                ])
            #expect(renamed.json["verdict"] == "updated")
            #expect(
                try await found(Self.misspelt, in: world).map { $0["profileId"] } == both.filter { $0 != id })
            try await world.erase(both.first { $0 != id }?.string ?? "")
            #expect(try await found(Self.misspelt, in: world).isEmpty)
        }
    }

    @Test("it finds in an installation that has nobody yet, and learns as people come")
    func empty() async throws {
        try await MatchingWorld.with { world in
            #expect(try await found(Self.misspelt, in: world).isEmpty)
            try await world.resolve(MatchingWorld.events(Self.people))
            while try await found(traits(10), in: world).first?["profileId"]?.string
                != (try await world.profile(10))
            {}
        }
    }

    @Test("more profiles than the settings allow are not held, and the answer says so")
    func bounded() async throws {
        try await MatchingWorld.with(
            MatchingWorld.events(Self.people), settings: ["MARTLET_MATCHING_PROFILES": "20"]
        ) { world in
            var answer = try await world.lookUp(traits(1))
            while answer.json["detail"]?.string?.contains("MARTLET_MATCHING_PROFILES") != true {
                #expect(answer.status == 503)
                answer = try await world.lookUp(traits(1))
            }
            #expect(answer.headers["retry-after"] == "3600")
        }
    }

    @Test("bad input is answered with a problem that says what was expected, whoever may read may ask")
    func badInput() async throws {
        try await MatchingWorld.with { world in
            let bodies: [(String, Int)] = [
                ("{}", 400), (#"{"traits":{}}"#, 400), (#"{"traits":{"country":"CH"}}"#, 400),
                (#"{"traits":{"lastName":"x"},"limit":0}"#, 400),
                (#"{"traits":{"lastName":"x"},"limit":101}"#, 400),
                (#"{"traits":{"lastName":"x"},"policy":{"review":0}}"#, 400),
                (#"{"traits":{"lastName":"x"},"more":1}"#, 400), ("[", 400),
                (#"{"traits":{"lastName":""# + String(repeating: "x", count: 70_000) + #""}}"#, 413),
            ]
            for (body, status) in bodies {
                let answer = try await world.service.request(
                    "POST", "/v1/matching/lookup", body: Array(body.utf8))
                #expect(answer.status == status, "\(body.prefix(80))")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            #expect(
                try await world.service.request(
                    "POST", "/v1/matching/lookup", json: ["traits": ["lastName": "x"]], as: .none
                ).status == 401)
        }
    }
}
