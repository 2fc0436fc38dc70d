import ConsentDomain
import Foundation
import IngestionDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import TestSupport
import Testing

@testable import IngestionServer

@Suite(
    "Consent before storing",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct EventRulesTests {
    private static let policy = """
        {"purposes": {
            "analytics": {"name": "Analytics", "legalBasis": "consent", "text": {"version": "1"}},
            "ads": {"name": "Ads", "legalBasis": "legitimateInterest", "saleOrSharing": true, "text": {"version": "1"}}},
         "requires": {"events": {
            "Product Viewed": {"purposes": ["analytics"], "otherwise": "pseudonymous"},
            "Ad Clicked": {"purposes": ["ads"], "otherwise": "count"}}}}
        """

    /// Collecting with the tables of identity and consent, and a policy.
    private func withPolicy(_ body: (Collecting, PostgresPool) async throws -> Void) async throws {
        try await Collecting.with { collecting in
            let owner = collecting.database.pool(maxConnections: 2)
            for service in [ServiceName.identity, .consent] {
                _ = try await Migrator(
                    service: service, migrations: try Self.migrations(of: service.rawValue.capitalized)
                ).migrate(owner)
            }
            try await owner.execute(
                """
                INSERT INTO profiles.consent_policy (version, body, source, created_at, created_by)
                VALUES (2, \(Self.policy), '', now(), 'test')
                """)
            try await body(collecting, owner)
            await owner.close()
        }
    }

    private static func migrations(of service: String) throws -> [Migration] {
        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let folder = root.appending(path: "Services/\(service)/Server/Migrations")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "sql" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
            .map {
                Migration(
                    resource: $0.deletingPathExtension().lastPathComponent,
                    bytes: Array(try Data(contentsOf: $0)))
            }
    }

    private func say(
        _ state: String, _ purpose: String, as browser: String, _ collecting: Collecting,
        _ owner: PostgresPool, by kind: Identifier.Kind = .anonymousID
    ) async throws {
        let place = collecting.profiles.key.place(of: try #require(Identifier(kind, browser)))
        let id = ProfileID(UUIDv7.make(at: noon))
        try await owner.execute(
            """
            INSERT INTO profiles.profile (shard, profile_id, canonical_id, created_at, updated_at)
            VALUES (\(Shard(id)), \(id), \(id), \(noon), \(noon))
            """)
        try await owner.execute(
            """
            INSERT INTO profiles.identifier (shard, type, value_hash, value, profile_id, first_seen, last_seen)
            VALUES (\(place.shard), \(place.kind.rawValue), \(place.hash), \(browser), \(id), \(noon), \(noon))
            """)
        try await owner.execute(
            """
            INSERT INTO profiles.consent_state (shard, profile_id, purpose, state, at, ledger_entry)
            VALUES (\(Shard(id)), \(id), \(purpose), \(state), \(noon - .days(1)), \(UUID()))
            """)
    }

    @Test("an event is stored whole, under a name of the day, or only counted, as consent has it")
    func enforced() async throws {
        try await withPolicy { collecting, owner in
            try await say("granted", "analytics", as: "yes-browser", collecting, owner)
            try await say("withdrawn", "ads", as: "no-browser", collecting, owner)
            let answer = try await collecting.send(
                "batch",
                [
                    "batch": [
                        [
                            "type": "track", "event": "Product Viewed", "anonymousId": "yes-browser",
                            "messageId": "m1",
                        ],
                        [
                            "type": "track", "event": "Product Viewed", "anonymousId": "MARK-browser",
                            "messageId": "m2",
                            "properties": ["sku": "MS-1", "email": "MARK@example.com"],
                        ],
                        [
                            "type": "track", "event": "Ad Clicked", "anonymousId": "no-browser",
                            "messageId": "m3",
                        ],
                        [
                            "type": "track", "event": "Ad Clicked", "anonymousId": "yes-browser",
                            "messageId": "m4",
                        ],
                        ["type": "track", "event": "Other", "anonymousId": "no-browser", "messageId": "m5"],
                        [
                            "type": "track", "event": "Product Viewed", "anonymousId": "yes-browser",
                            "messageId": "m6",
                            "context": ["consent": ["categoryPreferences": ["analytics": false]]],
                        ],
                    ]
                ])
            #expect(answer.status == 200)
            #expect(
                answer.json["items"]?.array?.map { $0["status"]?.string } == [
                    "accepted", "accepted", "refused", "accepted", "accepted", "accepted",
                ], "\(answer.json)")
            let stored = try await collecting.stored()
            #expect(Set(stored.map(\.messageID)) == ["m1", "m2", "m4", "m5", "m6"])
            let pseudonymous = stored.filter { $0.context["pseudonymous"]?.bool == true }
            #expect(Set(pseudonymous.map(\.messageID)) == ["m2"])
            // What ends the permission is kept of the event that says it, and that alone: consent has yet to hear of it.
            let signal = try #require(stored.first { $0.messageID == "m6" })
            #expect(signal.name == "Consent Signalled" && signal.anonymousID == "yes-browser")
            #expect(signal.context["consent"]?[path: "categoryPreferences.analytics"] == false)
            #expect(pseudonymous.allSatisfy { $0.anonymousID?.hasPrefix("pseudonym-") == true })
            #expect(!stored.contains { $0.json.compact.contains("MARK") })
            // A single call is no mistake of its sender's either, and a number of them adds up.
            let single = try await collecting.send(
                "track", ["event": "Ad Clicked", "anonymousId": "no-browser", "messageId": "m7"])
            #expect(single.status == 200)
            #expect(single.json["refused"]?.integer == 1)
            let account = try await collecting.reconciliation()
            #expect(account["balanced"] == true)
            #expect(account[path: "items.0.received"] == 7)
            #expect(account[path: "items.0.accepted"] == 5)
            #expect(account[path: "items.0.refused"] == 2)
        }
    }

    @Test(
        "a withdrawal counts for the very next event, and the same message may come again when it is granted anew"
    )
    func atOnce() async throws {
        try await withPolicy { collecting, owner in
            try await say("granted", "ads", as: "browser", collecting, owner)
            func click(_ id: String) async throws -> String? {
                try await collecting.send(
                    "batch",
                    [
                        "batch": [
                            [
                                "type": "track", "event": "Ad Clicked", "anonymousId": "browser",
                                "messageId": .string(id),
                            ]
                        ]
                    ]
                ).json[path: "items.0.status"]?.string
            }
            #expect(try await click("1") == "accepted")
            // As the service that owns them does: what stands, and the end of its shard's ledger, in one transaction.
            func change(to state: String, at: Instant) async throws {
                try await owner.transaction { transaction in
                    try await transaction.execute(
                        "UPDATE profiles.consent_state SET state = \(state), at = \(at)")
                    try await transaction.execute(
                        """
                        INSERT INTO consent.ledger_head (shard, position, hash)
                        SELECT shard, 1, '' FROM profiles.consent_state
                        ON CONFLICT (shard) DO UPDATE SET position = ledger_head.position + 1
                        """)
                }
            }
            try await change(to: "withdrawn", at: noon)
            #expect(try await click("2") == "refused")
            try await change(to: "granted", at: noon)
            #expect(try await click("2") == "accepted")
            #expect(try await click("3") == "accepted")
            try await change(to: "withdrawn", at: noon)
            #expect(try await click("4") == "refused")
        }
    }

    @Test(
        "who was merged into somebody is judged by what either said, and whoever is seen often like all others"
    )
    func merged() async throws {
        try await withPolicy { collecting, owner in
            try await say("granted", "ads", as: "phone", collecting, owner)
            try await say("granted", "ads", as: "laptop", collecting, owner)
            try await say("withdrawn", "ads", as: "work", collecting, owner)
            let answered = { (numbers: Range<Int>) in
                try await collecting.send(
                    "batch",
                    [
                        "batch": .array(
                            numbers.map { number in
                                [
                                    "type": "track", "event": "Ad Clicked", "messageId": .string("\(number)"),
                                    "anonymousId": .string(["phone", "laptop", "work"][number % 3]),
                                ]
                            })
                    ]
                ).json["items"]?.array?.map { $0["status"]?.string ?? "" }
            }
            for round in 0..<3 {
                #expect(
                    try await answered(round * 6..<round * 6 + 6) == [
                        "accepted", "accepted", "refused", "accepted", "accepted", "refused",
                    ])
            }
            // The phone is the same person's as the browser at work.
            try await owner.execute(
                """
                UPDATE profiles.profile p SET canonical_id = work.profile_id
                FROM profiles.identifier phone, profiles.identifier work
                WHERE phone.value = 'phone' AND work.value = 'work' AND p.profile_id = phone.profile_id
                """)
            // Who is behind a name may be a second old where it was read; a name that is asked for anew is not.
            let fresh = KnownConsents(profiles: collecting.profiles)
            let words = try await owner.transaction { transaction in
                let questions = ["phone", "laptop"].map { browser in
                    EventQuestion(
                        TrackingEvent(
                            messageID: browser, kind: .track, name: "Ad Clicked", anonymousID: browser,
                            timestamp: noon, receivedAt: noon, sourceID: collecting.sourceID))
                }
                let found = try await fresh.people(for: questions, in: transaction)
                return questions.map { found.words(for: $0).map { $0["ads"]?.state } }
            }
            #expect(words == [[.withdrawn], [.granted]])
        }
    }

    @Test("whoever is named by an address alone is judged as the one whose address it is")
    func byAddress() async throws {
        try await withPolicy { collecting, owner in
            try await say("withdrawn", "ads", as: "ada@example.com", collecting, owner, by: .email)
            for (address, status) in [("Ada@Example.com ", "refused"), ("bob@example.com", "accepted")] {
                let answer = try await collecting.send(
                    "batch",
                    [
                        "batch": [
                            [
                                "type": "track", "event": "Ad Clicked", "anonymousId": "another browser",
                                "messageId": .string(status),
                                "context": ["traits": ["email": .string(address)]],
                            ]
                        ]
                    ])
                #expect(answer.json[path: "items.0.status"]?.string == status)
            }
        }
    }

    @Test("of two events that call themselves the same each is judged by itself")
    func sameName() async throws {
        try await withPolicy { collecting, owner in
            try await say("withdrawn", "ads", as: "no-browser", collecting, owner)
            func click(by browser: String) -> JSON {
                [
                    "type": "track", "event": "Ad Clicked", "messageId": "same",
                    "anonymousId": .string(browser),
                ]
            }
            let answer = try await collecting.send(
                "batch", ["batch": [click(by: "no-browser"), click(by: "another")]])
            #expect(answer.json[path: "items.0.status"]?.string == "refused")
            #expect(answer.json[path: "items.1.status"]?.string == "accepted")
        }
    }

    @Test("without a policy, or without a consent service, everything is stored")
    func without() async throws {
        try await Collecting.with { collecting in
            let answer = try await collecting.send("track", ["event": "Ad Clicked", "anonymousId": "x"])
            #expect(answer.json["accepted"]?.integer == 1)
        }
    }

    @Test(
        "Global Privacy Control is noted in every event of the request, whatever way it takes, and is said to be heeded"
    )
    func privacyControl() async throws {
        try await Collecting.with { collecting in
            for (headers, call) in [(["Sec-GPC": "1"], "track"), (["Sec-GPC": "0"], "track"), ([:], "track")]
            {
                _ = try await collecting.service.request(
                    "POST", "/v1/\(call)",
                    json: ["event": .string(headers["Sec-GPC"] ?? "none"), "anonymousId": "x"],
                    headers: headers,
                    as: .basic(user: collecting.key))
            }
            _ = try await collecting.service.request(
                "POST", "/v1/batch",
                json: [
                    "batch": [
                        [
                            "type": "page", "anonymousId": "x",
                            "context": ["consent": ["categoryPreferences": ["a": true]]],
                        ],
                        [
                            "type": "track", "event": "in batch", "anonymousId": "x",
                            "context": ["consent": "broken"],
                        ],
                    ]
                ], headers: ["Sec-GPC": "1"], as: .basic(user: collecting.key))
            let stored = try await collecting.stored()
            let controlled = stored.filter { $0.context["consent"]?["globalPrivacyControl"]?.bool == true }
            #expect(stored.count == 5)
            #expect(Set(controlled.map { $0.name ?? "page" }) == ["1", "page", "in batch"])
            #expect(
                controlled.first { $0.kind == .page }?.context["consent"]?["categoryPreferences"] == [
                    "a": true
                ])
            let known = try await collecting.service.request("GET", "/.well-known/gpc.json", as: .none)
            #expect(known.status == 200)
            #expect(known.json["gpc"]?.bool == true)
        }
    }
}
