import Crypto
import Foundation
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite("The desk of privacy requests", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct PrivacyDeskTests {
    private static let path = "/v1/privacy-requests"

    private func ask(
        _ type: String, _ profile: ProfileID, _ fixture: ConsentFixture, key: String? = nil
    ) async throws -> ServiceHarness.Answer {
        try await ask(type, profile, [:], fixture, key: key)
    }

    private func ask(
        _ type: String, _ profile: ProfileID, _ more: [String: JSON], _ fixture: ConsentFixture,
        key: String? = nil
    ) async throws -> ServiceHarness.Answer {
        var body = more
        body["type"] = .string(type)
        body["subject"] = ["profileId": .string(profile.description)]
        return try await fixture.service.request(
            "POST", Self.path, json: .object(body), headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    private func post(_ id: String, _ action: String, _ body: JSON, _ fixture: ConsentFixture) async throws
        -> ServiceHarness.Answer
    {
        try await fixture.service.request("POST", "\(Self.path)/\(id)/\(action)", json: body)
    }

    private func get(_ id: String, _ fixture: ConsentFixture, _ part: String = "") async throws
        -> ServiceHarness.Answer
    {
        try await fixture.service.request("GET", "\(Self.path)/\(id)\(part)")
    }

    /// Lets all services report that they have done their part.
    private func complete(_ id: String, _ fixture: ConsentFixture, _ result: JSON = [:]) async throws {
        for service in [
            ServiceName.ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
        ] {
            let answer = try await fixture.service.request(
                "PUT", "\(Self.path)/\(id)/results/\(service.rawValue)",
                json: ["status": "completed", "result": result], as: .service(service))
            #expect(answer.status == 200)
        }
    }

    private func events(_ fixture: ConsentFixture) async throws -> [String] {
        try await fixture.service.published(.privacyChanges).sorted {
            ($0.recordedAt, $0.offset) < ($1.recordedAt, $1.offset)
        }
        .map { try PrivacyChange(json: $0.body).event }
    }

    private func sweep(_ fixture: ConsentFixture) async throws {
        for case let sweeper as DeadlineSweeper in fixture.service.running.services {
            try await sweeper.sweep()
        }
    }

    @Test("nothing is looked for or shown before it is known who asks; the token is good once")
    func token() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let asked = try await ask("access", profile, fixture)
            #expect(asked.status == 202)
            #expect(asked.json["state"] == "verifying")
            #expect(asked.json["results"]?.array?.isEmpty == true)
            let id = try #require(asked.json["id"]?.string)
            for part in ["/bundle", "/data"] {
                let early = try await get(id, fixture, part)
                #expect(early.status == 409)
                #expect(early.json["type"]?.string == Problem.typeBase + "verification-required")
            }
            #expect(try await fixture.service.published(.privacyRequests).isEmpty)
            let made = try await post(id, "verification-tokens", [:], fixture)
            #expect(made.status == 201)
            let token = try #require(made.json["token"]?.string)
            let stored = try await fixture.owner.query("SELECT digest FROM consent.privacy_token")
            #expect(try stored.first?.get("digest", as: [UInt8].self).count == 32)
            let wrong = try await post(
                id, "verify", ["token": .string(String(token.dropLast()) + "_")], fixture)
            let other = try await ask("access", try await fixture.makeProfile(), fixture)
            let elsewhere = try await post(
                try #require(other.json["id"]?.string), "verify", ["token": .string(token)], fixture)
            // A wrong one, one of somebody else, and one where none was issued look the same.
            #expect(wrong.status == 422)
            #expect(wrong.json == elsewhere.json)
            let right = try await post(id, "verify", ["token": .string(token)], fixture)
            #expect(right.json["state"] == "inProgress")
            #expect(try await fixture.service.published(.privacyRequests).count == 1)
            let again = try await post(id, "verify", ["token": .string(token)], fixture)
            #expect(again.status == 422)
            #expect(again.json == wrong.json)
            try await complete(id, fixture, ["profile": ["traits": ["plan": "gold"]]])
            let data = try await get(id, fixture, "/data?format=csv")
            #expect(data.headers["content-type"]?.hasPrefix("text/csv") == true)
            #expect(data.text.contains("profile,1,traits.plan,gold\r\n"))
            let steps = try await get(id, fixture).json["steps"]?.array?.compactMap { $0["event"]?.string }
            #expect(
                steps == [
                    "received", "verificationAsked", "tokenIssued", "verificationFailed", "verified", "begun",
                    "completed",
                ])
        }
    }

    @Test("a token is tried five times and lasts two days; after five tokens somebody has to look")
    func bounds() async throws {
        try await ConsentFixture.with { fixture in
            let asked = try await ask("know", try await fixture.makeProfile(), fixture)
            let id = try #require(asked.json["id"]?.string)
            var token = ""
            for _ in 0..<4 {
                token = try #require(
                    try await post(id, "verification-tokens", [:], fixture).json["token"]?.string)
            }
            for _ in 0..<5 { _ = try await post(id, "verify", ["token": "nonsense"], fixture) }
            #expect(try await post(id, "verify", ["token": .string(token)], fixture).status == 422)
            token = try #require(
                try await post(id, "verification-tokens", [:], fixture).json["token"]?.string)
            fixture.clock.advance(by: .hours(48))
            #expect(try await post(id, "verify", ["token": .string(token)], fixture).status == 422)
            let sixth = try await post(id, "verification-tokens", [:], fixture)
            #expect(sixth.json["type"]?.string == Problem.typeBase + "verification-locked")
            let known = try await post(
                id, "verify", ["method": "passport", "note": "seen at the desk"], fixture)
            #expect(known.json["state"] == "inProgress")
            #expect(known.json["verifiedAt"]?.string == fixture.clock.now.rfc3339)
        }
    }

    @Test("what is known is not promised to whom nobody has looked at")
    func undisclosed() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            #expect(try await ask("access", profile, ["verification": "none"], fixture).status == 400)
            #expect(try await ask("erasure", profile, ["corrections": [:]], fixture).status == 400)
            #expect(try await ask("rectification", profile, fixture).status == 400)
            #expect(
                try await ask("access", profile, ["receivedAt": "2033-01-01T00:00:00Z"], fixture).status
                    == 400)
            let held = try await ask("erasure", profile, ["verification": "required"], fixture)
            #expect(held.json["state"] == "verifying")
            #expect(try await fixture.service.published(.privacyRequests).isEmpty)
        }
    }

    @Test("the list is what is due, in its order, by state, type and assignee, page by page")
    func due() async throws {
        try await ConsentFixture.with { fixture in
            var ids: [String] = []
            for (days, type) in [(3, "erasure"), (20, "know"), (9, "access"), (1, "delete")] {
                let received = (fixture.clock.now - .hours(24 * days)).rfc3339
                let asked = try await ask(
                    type, try await fixture.makeProfile(),
                    ["receivedAt": .string(received), "assignee": days > 5 ? "ann" : "bob"], fixture)
                ids.append(try #require(asked.json["id"]?.string))
            }
            func list(_ query: String) async throws -> [String] {
                try await fixture.service.request("GET", "\(Self.path)?\(query)").json["items"]?.array?
                    .compactMap { $0["id"]?.string } ?? []
            }
            // A month has 30 days here: 21 days from now, 25, 27 and 44.
            let order = [ids[2], ids[1], ids[0], ids[3]]
            #expect(try await list("state=open") == order)
            #expect(try await list("assignee=ann") == [ids[2], ids[1]])
            #expect(try await list("type=delete") == [ids[3]])
            #expect(try await list("state=verifying") == [ids[2], ids[1]])
            let before = (fixture.clock.now + .hours(24 * 25)).rfc3339
            #expect(try await list("dueBefore=\(before)") == [ids[2]])
            var (seen, cursor): ([String], String?) = ([], nil)
            repeat {
                let page = try await fixture.service.request(
                    "GET", "\(Self.path)?limit=3" + (cursor.map { "&cursor=\($0)" } ?? ""))
                seen += page.json["items"]?.array?.compactMap { $0["id"]?.string } ?? []
                cursor = page.json["nextCursor"]?.string
            } while cursor != nil
            #expect(seen == order)
            #expect(try await fixture.service.request("GET", "\(Self.path)?state=odd").status == 400)
            let patched = try await fixture.service.request(
                "PATCH", "\(Self.path)/\(ids[0])", json: ["assignee": .null])
            #expect(patched.json["assignee"] == .null)
            #expect(try await list("assignee=bob") == [ids[3]])
        }
    }

    @Test("reminders are told a week before, a day before and when it is due, and follow an extension")
    func reminders() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let asked = try await ask("access", profile, fixture)
            let id = try #require(asked.json["id"]?.string)
            let due = try #require(asked.json["dueAt"]?.string.flatMap { Instant(rfc3339: $0) })
            #expect(due == fixture.clock.now.moved(by: 30 * 86_400_000))
            try await sweep(fixture)
            #expect(try await events(fixture) == ["received", "verificationAsked"])
            fixture.clock.set(due - .hours(24))
            try await sweep(fixture)
            try await sweep(fixture)
            #expect(try await events(fixture).dropFirst(2) == ["dayBefore"])
            let told = fixture.clock.now.rfc3339
            let extended = try await post(
                id, "extend", ["reason": "many systems", "noticeSentAt": .string(told)], fixture)
            #expect(extended.json["extendedAt"]?.string == told)
            let twice = try await post(
                id, "extend", ["reason": "many systems", "noticeSentAt": .string(told)], fixture)
            #expect(twice.json["type"]?.string == Problem.typeBase + "already-extended")
            fixture.clock.set(due)
            try await sweep(fixture)
            #expect(try await events(fixture).dropFirst(3) == ["extended"])
            let later = try #require(extended.json["dueAt"]?.string.flatMap { Instant(rfc3339: $0) })
            fixture.clock.set(later + .hours(1))
            try await sweep(fixture)
            #expect(try await events(fixture).dropFirst(4) == ["overdue"])
            #expect(try await post(id, "cancel", [:], fixture).json["state"] == "cancelled")
            let left = try await fixture.owner.query("SELECT FROM consent.deadline")
            #expect(left.isEmpty)
        }
    }

    @Test("an objection withdraws direct marketing in the transaction that takes it in, once under its key")
    func objection() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.decide("grant", of: profile)
            try await fixture.decide("grant", "analytics", of: profile)
            fixture.clock.advance(by: .seconds(1))
            for _ in 0..<2 {
                let asked = try await ask("objection", profile, fixture, key: "letter-1")
                #expect(asked.status == 201)
                #expect(asked.json["state"] == "completed")
                #expect(try await fixture.standing(profile) == "withdrawn")
            }
            #expect(try await fixture.standing(profile, "analytics") == "granted")
            let entries = try await fixture.owner.query("SELECT FROM consent.ledger_entry")
            #expect(entries.count == 3)
            let named = try await ask("optOut", profile, ["purposes": ["analytics"]], fixture)
            #expect(named.json["regime"] == "ccpa")
            #expect(try await fixture.standing(profile, "analytics") == "withdrawn")
            #expect(try await ask("objection", profile, ["purposes": ["odd"]], fixture).status == 404)
            let audit = try await fixture.service.request("GET", "/v1/audit/verify")
            #expect(audit.json["valid"]?.bool == true)
        }
    }

    @Test("a restriction stands in the profile store for every profile of the person until it is lifted")
    func restriction() async throws {
        try await ConsentFixture.with { fixture in
            let (known, device) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.merge(device, into: known)
            let asked = try await ask("restriction", known, fixture)
            #expect(asked.json["state"] == "completed")
            let id = try #require(asked.json["id"]?.string)
            func restricted() async throws -> Set<ProfileID> {
                Set(
                    try await fixture.owner.query("SELECT profile_id FROM profiles.restriction").map {
                        try $0.get("profile_id")
                    })
            }
            #expect(try await restricted() == [known, device])
            let told = fixture.clock.now.rfc3339
            let lifted = try await post(
                id, "lift", ["reason": "settled", "noticeSentAt": .string(told)], fixture)
            #expect(lifted.status == 200)
            #expect(try await restricted().isEmpty)
            let again = try await post(
                id, "lift", ["reason": "settled", "noticeSentAt": .string(told)], fixture)
            #expect(again.status == 409)
        }
    }

    @Test("a refusal and a note keep their words from the database, and an erasure forgets them")
    func notes() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let asked = try await ask("access", profile, fixture)
            let id = try #require(asked.json["id"]?.string)
            _ = try await post(id, "notes", ["text": "called from +49 30 1234"], fixture)
            let refused = try await post(
                id, "refuse", ["reason": "not the person", "note": "wrong birthday"], fixture)
            #expect(refused.json["state"] == "refused")
            #expect(refused.json["reason"] == "not the person")
            #expect(refused.text.contains("called from"))
            let sealed = try await fixture.owner.query(
                "SELECT detail FROM consent.privacy_step WHERE detail IS NOT NULL")
            #expect(sealed.count == 2)
            #expect(try sealed.allSatisfy { try $0.get("detail", as: String.self).hasPrefix("~") })
            _ = try await ask("erasure", profile, fixture)
            try await fixture.drain()
            #expect(try await !get(id, fixture).text.contains("called from"))
        }
    }

    @Test("thousands of requests in one call have each a verdict, and the call may be repeated")
    func batch() async throws {
        try await ConsentFixture.with { fixture in
            var profiles: [ProfileID] = []
            for _ in 0..<300 { profiles.append(try await fixture.makeProfile()) }
            var rows = profiles.map { "{\"type\":\"erasure\",\"subject\":{\"profileId\":\"\($0)\"}}" }
            rows.append(rows[7])
            rows.append(
                "{\"type\":\"erasure\",\"subject\":{\"profileId\":\"\(UUIDv7.make(at: fixture.clock.now).uuidString)\"}}"
            )
            rows.append("{\"type\":\"oblivion\"}")
            rows.append("not json")
            func send(_ key: String?) async throws -> JSON {
                try await fixture.service.request(
                    "POST", "\(Self.path)/batch", body: Array(rows.joined(separator: "\n").utf8),
                    headers: ["Content-Type": "application/x-ndjson"].merging(
                        key.map { ["Idempotency-Key": $0] } ?? [:], uniquingKeysWith: { $1 })
                ).json
            }
            let first = try await send("letters")
            #expect(first["received"]?.integer == 304)
            #expect(first["accepted"]?.integer == 300)
            #expect(first["duplicate"]?.integer == 1)
            #expect(first["refused"]?.integer == 3)
            let items = try #require(first["items"]?.array)
            #expect(items[300]["id"] == items[7]["id"])
            #expect(items[301]["problem"]?["type"]?.string == Problem.typeBase + "unknown-subject")
            #expect(items[302]["problem"]?["status"]?.integer == 400)
            let again = try await send("letters")
            #expect(again["duplicate"]?.integer == 301)
            #expect(again["items"]?.array?[0]["id"] == items[0]["id"])
            #expect(try await fixture.service.published(.privacyRequests).count == 300)
            let array = try await fixture.service.request(
                "POST", "\(Self.path)/batch",
                body: Array("[\(rows[0]), \(rows[302])]".utf8))
            #expect(array.json["duplicate"]?.integer == 1)
            #expect(array.json["refused"]?.integer == 1)
            #expect(
                try await fixture.service.request("POST", "\(Self.path)/batch", body: Array("{}".utf8)).status
                    == 400)
        }
    }

    @Test(
        "the receipt names each store with its counts and the hash of its report, under the key of the ledger"
    )
    func receipt() async throws {
        try await ConsentFixture.with { fixture in
            let asked = try await ask("erasure", try await fixture.makeProfile(), fixture)
            let id = try #require(asked.json["id"]?.string)
            #expect(try await get(id, fixture, "/receipt").status == 409)
            let report: JSON = ["traits": 3, "events": ["kept": 0, "gone": 12]]
            try await complete(id, fixture, report)
            let receipt = try await get(id, fixture, "/receipt").json
            let stores = try #require(receipt["stores"]?.array)
            #expect(stores.count == 7)
            #expect(stores[0]["service"] == "consent")
            #expect(stores[0]["counts"] == ["traits": 3, "events.kept": 0, "events.gone": 12])
            let digest = SHA256.hash(data: Data(report.compact.utf8)).map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
            #expect(stores.allSatisfy { $0["sha256"]?.string == digest })
            let heads = try await fixture.service.request("GET", "/v1/audit/heads").json
            #expect(receipt["publicKey"] == heads["publicKey"])
            var content = try #require(receipt.object)
            let signature = try #require(content.removeValue(forKey: "signature")?.string)
            let key = try #require(content.removeValue(forKey: "publicKey")?.string)
            func isSigned(_ content: [String: JSON]) throws -> Bool {
                try Curve25519.Signing.PublicKey(rawRepresentation: Data(Self.bytes(key))).isValidSignature(
                    Data(Self.bytes(signature)), for: Data(JSON.object(content).compact.utf8))
            }
            #expect(try isSigned(content))
            content["endedAt"] = "2026-11-28T00:00:00.000Z"
            #expect(try !isSigned(content))
            // Asked again it is the same.
            #expect(try await get(id, fixture, "/receipt").json == receipt)
        }
    }

    private static func bytes(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.utf8.count, by: 2).compactMap { place in
            UInt8(text.dropFirst(place).prefix(2), radix: 16)
        }
    }

    @Test("what was found for an access is hashed in its receipt, and not counted")
    func accessReceipt() async throws {
        try await ConsentFixture.with { fixture in
            let asked = try await ask(
                "access", try await fixture.makeProfile(), ["verifiedBy": ["method": "signed in"]], fixture)
            let id = try #require(asked.json["id"]?.string)
            try await complete(id, fixture, ["orders": 4])
            let receipt = try await get(id, fixture, "/receipt").json
            #expect(receipt["stores"]?.array?.allSatisfy { $0["counts"] == [:] } == true)
        }
    }

    @Test("an entry of the ledger has a receipt under the names of ISO/IEC TS 27560, of its person alone")
    func consentReceipt() async throws {
        try await ConsentFixture.with { fixture in
            let (profile, other) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            let granted = try await fixture.decide("grant", of: profile)
            let entry = try #require(granted.json["id"]?.string)
            let receipt = try await fixture.service.request(
                "GET", "/v1/profiles/\(profile)/consents/\(entry)/receipt"
            ).json
            #expect(receipt["record_id"]?.string == entry)
            #expect(receipt["pii_principal_id"]?.string == profile.description)
            let purposes = receipt["pii_processing"]?.array?.first?["purposes"]?.array
            #expect(purposes?.first?["purpose"] == "Marketing messages")
            #expect(receipt["events"]?.array?.first?["event_type"] == "consent_given")
            #expect(receipt["integrity"]?["position"]?.integer == 1)
            let strange = try await fixture.service.request(
                "GET", "/v1/profiles/\(other)/consents/\(entry)/receipt")
            #expect(strange.status == 404)
        }
    }

    @Test("a reference names one request of its caller")
    func references() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let first = try await ask("access", profile, ["reference": "ticket-1"], fixture)
            let again = try await ask("access", profile, ["reference": "ticket-1"], fixture)
            #expect(again.status == 200)
            #expect(again.json["id"] == first.json["id"])
            let other = try await ask("erasure", profile, ["reference": "ticket-1"], fixture)
            #expect(other.json["type"]?.string == Problem.typeBase + "reference-used")
        }
    }

    @Test("two erasures of one person both end, and an access asked in between is told why there is none")
    func twoAtOnce() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            let verified: [String: JSON] = ["verifiedBy": ["method": "signed in"]]
            async let one = ask("erasure", profile, fixture)
            async let two = ask("erasure", profile, fixture)
            async let three = ask("access", profile, verified, fixture)
            let (first, second, access) = try await (one, two, three)
            try await fixture.drain()
            for erasure in [first, second] {
                let id = try #require(erasure.json["id"]?.string)
                try await complete(id, fixture)
                #expect(try await get(id, fixture).json["state"] == "completed")
            }
            // Whichever came first.
            if access.status == 202 {
                let id = try #require(access.json["id"]?.string)
                let ended = try await get(id, fixture).json
                #expect(ended["state"] == "refused")
                #expect(ended["reason"] == "erasure")
                #expect(try await get(id, fixture, "/bundle").status == 409)
            } else {
                #expect(access.json["type"]?.string == Problem.typeBase + "erasure-under-way")
            }
        }
    }
}
