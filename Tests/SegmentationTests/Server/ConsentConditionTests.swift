import Models
import Postgres
import TestSupport
import Testing

@Suite(
    "Consent in rules", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ConsentConditionTests {
    private let start = Installation.start
    private let granted: JSON = ["consent": ["purpose": "marketing", "is": "granted"]]

    @Test(
        "a grant lets somebody in at its instant and a withdrawal out, with the entry in the ledger as evidence"
    )
    func decisions() async throws {
        try await Installation.with { installation in
            let anna = Installation.profile("anna")
            try await installation.put("reachable", granted)
            try await installation.put("never-asked", "consent \"marketing\" unknown")
            try await installation.append([Installation.track("View", at: start)], to: anna)
            try await installation.drain()
            #expect(try await installation.members("never-asked") == [anna])
            installation.clock.advance(by: .hours(3))
            try await installation.decide(.granted, "marketing", by: anna, at: start + .hours(1))
            try await installation.decide(.granted, "other", by: anna, at: start + .hours(1))
            try await installation.decide(.withdrawn, "marketing", by: anna, at: start + .hours(2))
            try await installation.drainConsents()
            #expect(
                try await installation.story(of: "reachable") == [
                    "entered event 3600000", "exited event 7200000",
                ])
            #expect(
                try await installation.story(of: "never-asked") == [
                    "entered event 0", "exited event 3600000",
                ])
            let evidence = try await installation.changes(of: "reachable")[0].evidence
            #expect(evidence[path: "cause.kind"] == "consent")
            #expect(evidence[path: "cause.ledgerEntry"] == evidence[path: "conditions.details.ledgerEntry"])
            #expect(evidence[path: "conditions.details.state"] == "granted")

            try await installation.decide(.granted, "marketing", by: anna, at: start + .minutes(90))
            try await installation.drainConsents()
            #expect(try await installation.members("reachable") == [], "an older decision changes nothing")
        }
    }

    @Test(
        "a rule that is made later, and a preview, know what was decided before; also of who has done nothing else"
    )
    func laterRules() async throws {
        try await Installation.with { installation in
            let (anna, bert) = (Installation.profile("anna"), Installation.profile("bert"))
            try await installation.append([Installation.track("View", at: start)], to: anna)
            try await installation.decide(.granted, "marketing", by: anna, at: start)
            try await installation.drain()
            try await installation.drainConsents()
            let preview = try await installation.harness.request(
                "POST", "/v1/segments/preview", json: ["rule": granted])
            #expect(preview.json["sample"] == [.string(anna.description)])
            try await installation.put("reachable", granted)
            try await installation.backfill()
            #expect(try await installation.members("reachable") == [anna])
            try await installation.decide(.granted, "marketing", by: bert, at: start)
            try await installation.drainConsents()
            #expect(try await installation.members("reachable") == [anna, bert])
        }
    }

    @Test(
        "who is merged has what either decided last; parted again, each has their own, once consent has followed"
    )
    func merges() async throws {
        try await Installation.with { installation in
            let (anna, bert) = (Installation.profile("anna"), Installation.profile("bert"))
            try await installation.put("reachable", granted)
            try await installation.append([Installation.track("View", at: start)], to: anna)
            try await installation.append([Installation.track("View", at: start)], to: bert)
            try await installation.decide(.granted, "marketing", by: bert, at: start + .seconds(1))
            installation.clock.advance(by: .hours(1))
            try await installation.drain()
            try await installation.drainConsents()
            #expect(try await installation.members("reachable") == [bert])

            try await installation.merge(bert, into: anna)
            try await installation.drain()
            #expect(try await installation.members("reachable") == [anna])
            // Consent follows: what bert decided stands under anna now, and is told again.
            try await installation.forgetConsent(of: bert)
            try await installation.decide(.granted, "marketing", by: anna, at: start + .seconds(1))
            try await installation.drainConsents()
            #expect(try await installation.story(of: "reachable", anna).count == 1)

            installation.clock.advance(by: .hours(1))
            try await installation.unmerge(bert, from: anna)
            try await installation.drain()
            try await installation.backfill()
            // Consent has yet to follow, so what it says is what holds.
            #expect(try await installation.members("reachable") == [anna])
            try await installation.forgetConsent(of: anna)
            try await installation.decide(.granted, "marketing", by: bert, at: start + .seconds(1))
            try await installation.consentFollowed([anna, bert])
            try await installation.backfill()
            #expect(try await installation.members("reachable") == [bert])
            try await installation.drainConsents()
            #expect(try await installation.members("reachable") == [bert])
            #expect(
                try await installation.changes(of: "reachable").last { $0.profileID == anna }?.reason
                    == .unmerge)
            #expect(try await installation.owner.query("SELECT FROM segmentation.consent_recheck").isEmpty)
        }
    }

    @Test(
        "a decision that is told of again under another's name after they were parted is not taken for theirs"
    )
    func staleDecisions() async throws {
        try await Installation.with { installation in
            let (anna, bert) = (Installation.profile("anna"), Installation.profile("bert"))
            try await installation.put("reachable", granted)
            for profile in [anna, bert] {
                try await installation.append([Installation.track("View", at: start)], to: profile)
            }
            try await installation.merge(bert, into: anna)
            try await installation.decide(.granted, "marketing", by: anna, at: start + .seconds(1))
            installation.clock.advance(by: .hours(1))
            try await installation.unmerge(bert, from: anna)
            // It was bert's, and consent has followed before segmentation reads any of it.
            try await installation.forgetConsent(of: anna)
            try await installation.decide(.granted, "marketing", by: bert, at: start + .seconds(1))
            try await installation.consentFollowed([anna, bert])
            try await installation.drain()
            try await installation.drainConsents()
            try await installation.backfill()
            #expect(try await installation.members("reachable") == [bert])
        }
    }

    @Test("who is erased is not made known again by a decision that comes late")
    func erasure() async throws {
        try await Installation.with { installation in
            let anna = Installation.profile("anna")
            try await installation.put("reachable", granted)
            try await installation.append([Installation.track("View", at: start)], to: anna)
            try await installation.drain()
            try await installation.decide(.granted, "marketing", by: anna, at: start)
            try await installation.append([.erased(profileID: anna, at: start + .seconds(5))])
            try await installation.drain()
            try await installation.drainConsents()
            #expect(try await installation.members("reachable") == [])
            #expect(
                try await installation.owner.query(
                    "SELECT FROM segmentation.profile_state WHERE profile_id = \(anna)"
                ).isEmpty)
        }
    }
}
