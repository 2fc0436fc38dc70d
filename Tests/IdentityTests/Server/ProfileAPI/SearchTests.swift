import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Searching profiles", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct SearchTests {
    private let events = [
        event(0, .identify, user: "CRM-4711", email: "anna@x.org", traits: ["name": "Anna Müller"]),
        event(
            1, .identify, user: "u-2", email: "anton@x.org",
            traits: ["firstName": "Anton", "lastName": "Maier"]),
        event(2, .identify, user: "u-3", traits: ["name": "ŁUKASZ Ó Briain", "phone": "+41 79 123 45 67"]),
        event(3, .identify, user: "u-4", traits: ["name": "Straßer Li"]),
    ]

    /// The `userId`s of those that are found.
    private func found(_ prefix: String, fields: [String]? = nil, in api: ProfileAPI) async throws -> [String]
    {
        var body: [String: JSON] = ["prefix": .string(prefix)]
        body["fields"] = fields.map { .array($0.map(JSON.string)) }
        let answer = try await api.post("/v1/profiles/search", .object(body))
        #expect(answer.status == 200, "\(prefix)")
        return (answer.json["items"]?.array ?? []).compactMap { profile in
            profile["identifiers"]?.array?.first { $0["type"] == "userId" }?["value"]?.string
        }.sorted()
    }

    @Test("people are found by the beginning of any word of a name, of an address, an id or a number")
    func beginnings() async throws {
        let expected: [(String, [String]?, [String])] = [
            ("ann", nil, ["CRM-4711"]), ("ANN mul", nil, ["CRM-4711"]), ("müll an", nil, ["CRM-4711"]),
            ("ant", nil, ["u-2"]), ("anton maier", nil, ["u-2"]), ("anton muller", nil, []),
            ("lukasz", nil, ["u-3"]), ("bri o lu", nil, ["u-3"]), ("strasser l", nil, ["u-4"]),
            ("anna@x.o", nil, ["CRM-4711"]), ("crm-47", nil, ["CRM-4711"]), ("+41 (79) 12", nil, ["u-3"]),
            ("0041791", ["phone"], ["u-3"]), ("anna", ["externalId", "phone"], []), ("nna", nil, []),
        ]
        try await ProfileAPI.with(events) { api in
            for (prefix, fields, users) in expected {
                let found = try await found(prefix, fields: fields, in: api)
                #expect(found == users, "\(prefix)")
            }
        }
    }

    @Test("what is longer than the index knows is compared with what holds now")
    func longQueries() async throws {
        let events = [
            event(0, .identify, user: "u-1", email: "bartholomaeus.one@x.org"),
            event(1, .identify, user: "u-2", email: "bartholomaeus.two@x.org"),
            event(2, .identify, user: "u-3", traits: ["name": "Wilhelmina"]),
            event(3, .identify, user: "u-3", traits: ["name": "Jacoba"]),
        ]
        try await ProfileAPI.with(events) { api in
            let expected = [
                "bartholomaeu": ["u-1", "u-2"], "bartholomaeus.t": ["u-2"], "wilhelmina": [],
                "jacoba": ["u-3"],
            ]
            for (prefix, users) in expected {
                let found = try await found(prefix, in: api)
                #expect(found == users, "\(prefix)")
            }
        }
    }

    @Test("who was merged answers as the one person, once, by the words of all profiles")
    func merged() async throws {
        let events = [
            event(0, .identify, device: "d", traits: ["firstName": "Ada"]),
            event(1, .identify, user: "u-1", traits: ["lastName": "Lovelace"]),
        ]
        try await ProfileAPI.with(events + [event(2, user: "u-1", device: "d")]) { api in
            let answer = try await api.post("/v1/profiles/search", ["prefix": "ada love"])
            #expect(answer.json["items"]?.array?.count == 1)
            let person = try await api.lookUp("userId", "u-1")
            #expect(answer.json[path: "items.0.profileId"] == person["profileId"])
            #expect(try await found("lovelace", in: api) == ["u-1"])
        }
    }

    @Test("pages leave nobody out and show nobody twice")
    func pages() async throws {
        let events = (0..<23).map { event($0, .identify, user: "user-\($0)", traits: ["name": "Anna \($0)"]) }
        try await ProfileAPI.with(events) { api in
            var ids: [String] = []
            var cursor: JSON = .null
            repeat {
                let page = try await api.post(
                    "/v1/profiles/search", ["prefix": "anna", "limit": 5, "cursor": cursor])
                ids += page.json["items"]?.array?.compactMap { $0["profileId"]?.string } ?? []
                cursor = page.json["nextCursor"] ?? .null
            } while !cursor.isNull
            #expect(ids.count == 23)
            #expect(ids == Set(ids).sorted())
        }
    }

    @Test("the index holds no text, and nothing of somebody who was erased")
    func noText() async throws {
        try await ProfileAPI.with(events) { api in
            let rows = try await api.database.owner.query(
                "SELECT string_agg(s::text, '') AS everything FROM profiles.search_prefix s")
            let everything = try rows[0].get("everything", as: String.self).lowercased()
            for planted in ["anna", "x.org", "maier", "4711", "123"] {
                #expect(planted.allSatisfy(\.isNumber) || !everything.contains(planted))
            }
            let profile = try await api.lookUp("userId", "CRM-4711")
            let id = try #require(profile["profileId"]?.string.flatMap { ProfileID($0) })
            let request = PrivacyRequest(
                id: PrivacyRequestID(UUIDv7.derived(at: start, from: "request")), type: .erasure,
                profileID: id, profileIDs: [id], requestedAt: start)
            let privacy = api.database.privacy()
            _ = try await api.database.pool.transaction { try await privacy.erase(request, in: $0) }
            #expect(try await found("anna", in: api) == [])
            let left = try await api.database.owner.query(
                "SELECT count(*) AS count FROM profiles.search_prefix WHERE profile_id = \(id)")
            #expect(try left[0].get("count", as: Int.self) == 0)
        }
    }

    @Test("profiles that were there before the index become findable, and filling it twice changes nothing")
    func backfill() async throws {
        try await ProfileAPI.with(events) { api in
            let state: SQL = "SELECT s::text AS row FROM profiles.search_prefix s ORDER BY 1"
            func rows() async throws -> [String] {
                try await api.database.owner.query(state).map { try $0.get("row", as: String.self) }
            }
            let before = try await rows()
            try await api.database.owner.execute("DELETE FROM profiles.search_prefix")
            let hidden = try await found("anna", in: api)
            #expect(hidden.isEmpty)
            let backfill = SearchBackfill(
                store: api.database.store, pool: api.service.context.pool,
                clock: api.service.context.clock, logger: api.service.context.logger)
            while try await backfill.step() {}
            let found = try await found("anna", in: api)
            #expect(found == ["CRM-4711"])
            let after = try await rows()
            #expect(after == before)
            let again = try await backfill.step()
            #expect(!again)
        }
    }

    private static let badRequests: [(String, Int)] = [
        (#"{"prefix":"an"}"#, 400), (#"{"prefix":"a b c","fields":["name"]}"#, 400), (#"{"prefix":""}"#, 400),
        (#"{}"#, 400),
        (#"{"prefix":7}"#, 400), (#"{"prefix":"anna\u0007"}"#, 400), (#"{"prefix":"anna\u0000"}"#, 400),
        (#"{"prefix":"anna","fields":[]}"#, 400), (#"{"prefix":"anna","fields":["shoe"]}"#, 400),
        (#"{"prefix":"anna","fields":["name","name"]}"#, 400), (#"{"prefix":"anna","limit":0}"#, 400),
        (#"{"prefix":"anna","limit":101}"#, 400), (#"{"prefix":"anna","cursor":"x"}"#, 400),
        (#"{"prefix":"anna","cursor":"WyJ4Il0"}"#, 400), (#"{"prefix":"anna","sort":"name"}"#, 400),
        ("{\"prefix\":\"" + String(repeating: "a", count: 300) + "\"}", 400),
        ("{\"prefix\":\"" + String(repeating: "a", count: 1 << 20) + "\"}", 413),
        (#"{"prefix":"%%%","fields":["name","phone"]}"#, 400), (#"{"prefix":"̈̈̈̈","fields":["name"]}"#, 400),
    ]

    @Test("a search that can't be made is refused with what is expected")
    func badInput() async throws {
        try await ProfileAPI.with { api in
            for (body, status) in Self.badRequests {
                let answer = try await api.service.request(
                    "POST", "/v1/profiles/search", body: Array(body.utf8))
                #expect(answer.status == status, "\(body.prefix(80))")
                #expect(answer.headers["content-type"] == "application/problem+json")
            }
            let writer = try await api.key([.profilesWrite])
            let answer = try await api.service.request(
                "POST", "/v1/profiles/search", json: ["prefix": "anna"], as: writer)
            #expect(answer.status == 403)
        }
    }
}
