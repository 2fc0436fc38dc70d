import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Reading profiles", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ProfileReadingTests {
    private let other = SourceID(UUIDv7.derived(at: start, from: "other source"))

    private var events: [TrackingEvent] {
        var events = [
            event(0, device: "d"), event(1, .identify, user: "u", traits: ["plan": "pro"]),
            event(2, user: "u", device: "d"), event(3, .page, user: "u"), event(4, user: "u"),
        ]
        events[3].name = "Home"
        events[4].sourceID = other
        return events
    }

    /// What other services keep in the profile store, as far as it is read here.
    private func others(_ database: IdentityDatabase) async throws {
        try await database.owner.transaction { transaction in
            try await transaction.script(
                """
                CREATE TABLE profiles.consent_state (
                    shard smallint, profile_id uuid, purpose text, state text, at timestamptz, ledger_entry uuid);
                CREATE TABLE profiles.membership (
                    shard smallint, profile_id uuid, segment text, version int, entered_at timestamptz, evidence jsonb);
                CREATE TABLE profiles.stage (
                    shard smallint, profile_id uuid, stage text, version int, entered_at timestamptz, evidence jsonb);
                GRANT SELECT ON profiles.consent_state, profiles.membership, profiles.stage TO martlet_readers;
                """)
        }
    }

    @Test("everything known of somebody comes in one call, and nothing that wasn't asked for")
    func include() async throws {
        try await ProfileAPI.with(events) { api in
            try await others(api.database)
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            let profileID = try #require(ProfileID(id))
            try await api.database.owner.execute(
                """
                INSERT INTO profiles.consent_state
                VALUES (\(Shard(profileID)), \(profileID), 'marketing', 'granted', \(start), \(profileID))
                """)
            try await api.database.owner.execute(
                """
                INSERT INTO profiles.membership
                VALUES (\(Shard(profileID)), \(profileID), 'lapsed', 3, \(start), '{}'::jsonb)
                """)
            let all = try await api.get(
                "/v1/profiles/\(id)?include=traits,identifiers,consent,segments,stage,timeline"
            ).json
            #expect(all[path: "traits.plan.value"] == "pro")
            #expect(all["identifiers"]?.array?.count == 2)
            #expect(all[path: "consent.marketing.state"] == "granted")
            #expect(all[path: "consent.marketing.ledgerEntry"] == .string(id))
            #expect(
                all["segments"] == [["segment": "lapsed", "version": 3, "enteredAt": .string(start.rfc3339)]])
            #expect(all["stage"] == .null)
            try await api.database.owner.execute(
                """
                INSERT INTO profiles.stage
                VALUES (\(Shard(profileID)), \(profileID), 'decision', 2, \(start), '{}'::jsonb)
                """)
            #expect(
                try await api.get("/v1/profiles/\(id)?include=stage").json["stage"]
                    == ["stage": "decision", "version": 2, "enteredAt": .string(start.rfc3339)])
            #expect(api.messages(all["timeline"] ?? .null) == ["m4", "m3", "m2", "m1", "m0"])
            let some = try await api.get("/v1/profiles/\(id)?include=consent").json
            #expect(
                Set(some.object?.keys.map { $0 } ?? [])
                    == ["profileId", "mergedProfileIds", "createdAt", "updatedAt", "consent"])
            for bad in ["include=shoes", "include=traits,,consent", "include="] {
                #expect(try await api.get("/v1/profiles/\(id)?\(bad)").status == 400, "\(bad)")
            }
            let key = try await api.key([.profilesRead, .consentRead])
            func status(_ include: String) async throws -> Int {
                try await api.service.request("GET", "/v1/profiles/\(id)?include=\(include)", as: key).status
            }
            #expect(try await status("traits,consent") == 200)
            #expect(try await status("segments") == 403)
            #expect(try await status("stage") == 403)
        }
    }

    @Test("several identifiers are looked up at once, each with its verdict in its place")
    func lookup() async throws {
        try await ProfileAPI.with(events) { api in
            let answer = try await api.post(
                "/v1/profiles/lookup",
                [
                    "identifiers": [
                        ["type": "userId", "value": "u"], ["type": "userId", "value": "nobody"],
                        ["type": "email", "value": "no address"], 7, ["type": "anonymousId", "value": "d"],
                        ["type": "userId", "value": "u"],
                    ]
                ])
            #expect(answer.status == 200)
            let items = answer.json["items"]?.array ?? []
            #expect(
                items.map { $0["verdict"] } == ["found", "unknown", "refused", "refused", "found", "found"])
            #expect(items.map { $0["position"] } == (0..<6).map { JSON.integer($0) })
            let profile = try await api.lookUp("userId", "u")
            #expect(items[0]["profile"] == profile)
            #expect(items[4]["profile"] == items[0]["profile"])
            #expect(items[2]["path"] == "identifiers.2.value")
            let many = JSON.array(Array(repeating: ["type": "userId", "value": "u"], count: 201))
            for bad: JSON in [[], many, 7] {
                #expect(try await api.post("/v1/profiles/lookup", ["identifiers": bad]).status == 400)
            }
            let both: JSON = [
                "identifiers": [["type": "userId", "value": "u"]], "type": "userId", "value": "u",
            ]
            #expect(try await api.post("/v1/profiles/lookup", both).status == 400)
        }
    }

    @Test("a timeline shows what is asked for")
    func filters() async throws {
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("userId", "u")["profileId"]?.string)
            func messages(_ query: String) async throws -> [String] {
                let answer = try await api.get("/v1/profiles/\(id)/timeline?\(query)")
                #expect(answer.status == 200, "\(query)")
                return api.messages(answer.json)
            }
            #expect(try await messages("type=track") == ["m4", "m2", "m0"])
            #expect(try await messages("type=identify,page") == ["m3", "m1"])
            #expect(try await messages("type=merge") == [])
            #expect(
                try await api.get("/v1/profiles/\(id)/timeline?type=merge").json["items"]?.array?.count == 1)
            #expect(try await messages("name=Home") == ["m3"])
            #expect(try await messages("source=\(other)") == ["m4"])
            let (from, to) = ((start + .seconds(1)).rfc3339, (start + .seconds(3)).rfc3339)
            #expect(try await messages("from=\(from)&to=\(to)") == ["m2", "m1"])
            for bad in [
                "type=shoe", "type=mergedInto", "type=track,", "source=x", "from=yesterday",
                "from=\(to)&to=\(from)",
                "cursor=WyJ4IiwieSIsInoiLCIxIl0", "limit=501",
            ] {
                #expect(try await api.get("/v1/profiles/\(id)/timeline?\(bad)").status == 400, "\(bad)")
            }
        }
    }

    @Test("a timeline is read forth and back, and both ways show the same")
    func bothWays() async throws {
        let events = (0..<11).map { event($0, device: "d", late: .seconds($0 % 3)) }
        try await ProfileAPI.with(events) { api in
            let id = try #require(try await api.lookUp("anonymousId", "d")["profileId"]?.string)
            let path = "/v1/profiles/\(id)/timeline?limit=3"
            var pages = [try await api.get(path).json]
            #expect(pages[0]["previousCursor"] == .null)
            while let cursor = pages.last?["nextCursor"]?.string {
                pages.append(try await api.get("\(path)&cursor=\(cursor)").json)
            }
            #expect(pages.count == 4)
            #expect(pages.flatMap { api.messages($0) }.sorted() == events.map(\.messageID).sorted())
            var back = pages[3]
            for number in [2, 1, 0] {
                let cursor = try #require(back["previousCursor"]?.string)
                back = try await api.get("\(path)&cursor=\(cursor)").json
                #expect(api.messages(back) == api.messages(pages[number]))
            }
            #expect(back["previousCursor"] == .null)
        }
    }
}
