import ConsentDomain
import Foundation
import Models
import Postgres
import TestSupport
import Testing

@Suite(
    "Consent from the stream of events", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)")
)
struct ProfileEventsTests {
    @Test("events grant and withdraw, with the event as evidence")
    func events() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.append([
                fixture.track("Consent Granted", ["purpose": "marketing", "source": "banner"], of: profile),
                fixture.track("Consent Granted", ["purpose": "analytics"], of: profile),
                fixture.track("Consent Granted", ["purpose": 5], of: profile),
                fixture.track("Product Viewed", ["sku": "A"], of: profile),
            ])
            try await fixture.drain()
            #expect(try await fixture.standing(profile) == "granted")
            fixture.clock.advance(by: .seconds(1))
            try await fixture.append([fixture.track("Unsubscribed", of: profile)])
            try await fixture.drain()
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await fixture.standing(profile, "analytics") == "granted")
            let answer = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents")
            let last = answer.json["ledger"]?["items"]?.array?.first
            #expect(last?["evidence"]?["event"]?.string == "Unsubscribed")
            #expect(last?["source"]?.string == "unsubscribe")
            #expect(answer.json["ledger"]?["items"]?.array?.count == 3)
        }
    }

    @Test(
        "what a banner has said goes into the ledger with the first event that says it, and again when it changes"
    )
    func preferences() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            func see(_ device: String, _ preferences: [String: JSON]) async throws {
                var fact = fixture.track("Product Viewed", ["sku": "A"], of: profile)
                if case .event(let id, let arrived, var event) = fact {
                    event.anonymousID = device
                    event.context = ["consent": ["categoryPreferences": .object(preferences)]]
                    fact = .event(profileID: id, arrivedUnder: arrived, event: event)
                }
                try await fixture.append([fact])
                try await fixture.drain()
                fixture.clock.advance(by: .seconds(1))
            }
            func entries() async throws -> [JSON] {
                let answer = try await fixture.service.request("GET", "/v1/profiles/\(profile)/consents")
                return answer.json["ledger"]?["items"]?.array ?? []
            }
            try await see("phone", ["marketing": true, "analytics": false, "nobody-knows-it": true])
            #expect(try await fixture.standing(profile) == "granted")
            #expect(try await fixture.standing(profile, "analytics") == "withdrawn")
            #expect(try await entries().count == 2)
            for _ in 1...3 { try await see("phone", ["marketing": true, "analytics": false]) }
            #expect(try await entries().count == 2)
            // Another device says otherwise, and both go on saying what they do.
            try await see("laptop", ["marketing": false])
            #expect(try await fixture.standing(profile) == "withdrawn")
            for device in ["phone", "laptop", "phone"] {
                try await see(device, ["marketing": .bool(device == "phone")])
            }
            #expect(try await fixture.standing(profile) == "withdrawn")
            #expect(try await entries().count == 3)
            try await see("laptop", ["marketing": true])
            #expect(try await fixture.standing(profile) == "granted")
            let last = try await entries().first
            #expect(last?["source"] == "preferences")
            #expect(last?[path: "evidence.categoryPreferences.marketing"] == true)
            try await fixture.append([.erased(profileID: profile, at: fixture.clock.now)])
            try await fixture.drain()
            #expect(try await fixture.owner.query("SELECT FROM consent.reported_preference").isEmpty)
        }
    }

    @Test(
        "the first that is heard of a device is no yes where the person has said something since; a change on it is one"
    )
    func staleYes() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            func see(_ device: String, _ isGranted: Bool) async throws {
                var fact = fixture.track("Product Viewed", ["sku": "A"], of: profile)
                if case .event(let id, let arrived, var event) = fact {
                    event.anonymousID = device
                    event.context = ["consent": ["categoryPreferences": ["marketing": .bool(isGranted)]]]
                    fact = .event(profileID: id, arrivedUnder: arrived, event: event)
                }
                try await fixture.append([fact])
                try await fixture.drain()
                fixture.clock.advance(by: .seconds(1))
            }
            try await fixture.append([fixture.track("Unsubscribed", ["purpose": "marketing"], of: profile)])
            try await fixture.drain()
            fixture.clock.advance(by: .seconds(1))
            // What was once chosen on a phone, which is signed in only now.
            for _ in 1...2 { try await see("phone", true) }
            #expect(try await fixture.standing(profile) == "withdrawn")
            try await see("phone", false)
            try await see("phone", true)
            #expect(try await fixture.standing(profile) == "granted")
            // A no is heard at once.
            try await see("laptop", false)
            #expect(try await fixture.standing(profile) == "withdrawn")
        }
    }

    @Test(
        "a grant of a purpose that nobody has defined is none, also once there is such a purpose; a refusal is one"
    )
    func undefined() async throws {
        try await ConsentFixture.with { fixture in
            let profile = try await fixture.makeProfile()
            try await fixture.append([
                fixture.track("Consent Granted", ["purpose": "profiling"], of: profile),
                fixture.track("Consent Withdrawn", ["purpose": "sharing"], of: profile),
                fixture.track("Consent Granted", ["purpose": "marketing"], of: profile),
            ])
            try await fixture.drain()
            for purpose in ["profiling", "sharing"] {
                let made = try await fixture.service.request(
                    "PUT", "/v1/purposes/\(purpose)",
                    json: ["name": "New", "legalBasis": "consent", "textVersion": "1"])
                #expect(made.status == 201)
            }
            #expect(try await fixture.standing(profile, "profiling") == nil)
            #expect(try await fixture.standing(profile, "sharing") == "withdrawn")
            #expect(try await fixture.standing(profile) == "granted")
        }
    }

    @Test("after a merge was undone each stands where their own decisions say")
    func unmerge() async throws {
        try await ConsentFixture.with { fixture in
            let (known, device) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.decide("grant", of: known)
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide("withdraw", of: device)
            try await fixture.merge(device, into: known)
            try await fixture.drain()
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide("grant", "analytics", of: device)
            #expect(try await fixture.standing(known) == "withdrawn")
            #expect(try await fixture.standing(known, "analytics") == "granted")
            try await fixture.unmerge(device, from: known)
            #expect(try await fixture.followed().isEmpty)
            try await fixture.drain()
            #expect(try await fixture.followed() == [known, device])
            #expect(try await fixture.standing(known) == "granted")
            #expect(try await fixture.standing(known, "analytics") == nil)
            #expect(try await fixture.standing(device) == "withdrawn")
            #expect(try await fixture.standing(device, "analytics") == "granted")
        }
    }

    @Test("after a merge the survivor stands where the joined history says, and the loser nowhere")
    func merge() async throws {
        try await ConsentFixture.with { fixture in
            let (known, device) = (try await fixture.makeProfile(), try await fixture.makeProfile())
            try await fixture.decide("grant", of: known)
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide("withdraw", of: device)
            try await fixture.decide("grant", "analytics", of: device)
            fixture.clock.advance(by: .seconds(1))
            try await fixture.merge(device, into: known)
            // Before the merge is folded an answer is right already.
            let early = try await fixture.service.request("GET", "/v1/profiles/\(device)/consents")
            let marketing = early.json["consents"]?.array?.first { $0["purpose"]?.string == "marketing" }
            #expect(marketing?["state"]?.string == "withdrawn")
            try await fixture.drain()
            #expect(try await fixture.standing(known) == "withdrawn")
            #expect(try await fixture.standing(known, "analytics") == "granted")
            #expect(try await fixture.standing(device) == nil)
            #expect(try await fixture.changes().suffix(2).map(\.profileID) == [known, known])
            // What arrives under the old id afterwards counts for the person.
            fixture.clock.advance(by: .seconds(1))
            try await fixture.decide("grant", of: device)
            #expect(try await fixture.standing(known) == "granted")
        }
    }

    @Test("decisions racing with merges all end up in the fold of the person")
    func race() async throws {
        var generator = seededGenerator()
        for _ in 0..<3 {
            let decisions = (0..<48).map { _ in
                (
                    action: Bool.random(using: &generator) ? "grant" : "withdraw",
                    secondsAgo: Int.random(in: 0...20, using: &generator),
                    profile: Int.random(in: 0..<5, using: &generator)
                )
            }
            try await ConsentFixture.with { fixture in
                var made: [ProfileID] = []
                for _ in 0..<5 { made.append(try await fixture.makeProfile()) }
                let profiles = made
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 0..<6 {
                        group.addTask {
                            for index in stride(from: worker, to: decisions.count, by: 6) {
                                let decision = decisions[index]
                                let answer = try await fixture.decide(
                                    decision.action, of: profiles[decision.profile],
                                    at: fixture.clock.now - .seconds(decision.secondsAgo))
                                #expect(answer.status == 201)
                            }
                        }
                    }
                    group.addTask {
                        for loser in profiles.dropFirst() {
                            try await fixture.merge(loser, into: profiles[0])
                            try await fixture.drain()
                        }
                    }
                    try await group.waitForAll()
                }
                try await fixture.drain()
                let latest = decisions.map(\.secondsAgo).min()
                let isWithdrawn = decisions.contains { $0.secondsAgo == latest && $0.action == "withdraw" }
                #expect(try await fixture.standing(profiles[0]) == (isWithdrawn ? "withdrawn" : "granted"))
                let rows = try await fixture.owner.query("SELECT count(*) AS n FROM profiles.consent_state")
                #expect(try rows.first?.get("n", as: Int.self) == 1)
                let audit = try await fixture.service.request("GET", "/v1/audit/verify")
                #expect(audit.json["valid"]?.bool == true)
                #expect(audit.json["entries"]?.integer == 48)
            }
        }
    }
}
