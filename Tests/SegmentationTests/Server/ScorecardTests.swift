import Foundation
import Models
import SegmentationDomain
import TestSupport
import Testing

@Suite(
    "The scorecard", .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ScorecardTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    private func event(_ name: String, _ after: Duration = .zero) -> TrackingEvent {
        Installation.track(name, at: start + after)
    }

    private func card(_ installation: Installation, _ profile: ProfileID) async throws -> JSON {
        let answer = try await installation.harness.request("GET", "/v1/scorecard/\(profile)")
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json
    }

    private func define(_ installation: Installation) async throws {
        try await installation.putScore(
            "warmth",
            [
                "events": [
                    ["event": "View", "weight": 4, "cap": 6], ["event": "Leave", "weight": -1],
                ], "halfLife": "1d",
            ])
        try await installation.putStages([
            ("aware", #"did "View""#), ("near", "score warmth at least 5"),
            ("ours", #"did "Order" at least 2 times in 10 days"#),
        ])
        try await installation.put("warm", "score warmth more than 2.5")
        try await installation.put("regular", #"did "Order" at least 3 times and not did "Leave" in 1 hour"#)
        try await installation.put("gone", #"did not do "Order" in 3 days and did "Order""#)
        try await installation.put("german", #"context location.country = "DE""#)
    }

    @Test(
        "it shows the stage and what is missing to the next, the scores and what moved them, and what comes")
    func whole() async throws {
        try await Installation.with { installation in
            try await define(installation)
            try await installation.append(
                [
                    event("View"), event("View", .hours(24)), event("Leave", .hours(24)),
                    event("Order", .hours(24)),
                ],
                to: anna)
            installation.clock.set(start + .hours(24))
            try await installation.drain()
            let card = try await card(installation, anna)
            #expect(card["at"] == .string((start + .hours(24)).rfc3339))
            #expect(card[path: "stage.stage"] == "near")
            #expect(card[path: "stage.enteredAt"] == .string((start + .hours(24)).rfc3339))
            #expect(
                card[path: "stage.evidence.cause.messageId"] == .string(event("View", .hours(24)).messageID))
            #expect(card["stagesAhead"]?.array?.map { $0["stage"] } == ["ours"])
            #expect(
                card[path: "stagesAhead.0.whyNot.text"]
                    == #"did "Order" at least 2 times in 10 days: 1 of 2 times; 1 more is needed"#)
            // Of the first view 2 points were left when the second came, which had room for all its 4.
            #expect(card[path: "scores.0.score"] == "5" && card[path: "scores.0.eventCount"] == 3)
            let moves = (card[path: "scores.0.events"]?.array ?? []).map {
                "\($0["kind"]?.string ?? "") \($0["points"]?.string ?? "") \($0["left"]?.string ?? "")"
            }
            #expect(moves.sorted() == [#""Leave" -1 -1"#, #""View" 4 2"#, #""View" 4 4"#])
            let thresholds = card[path: "scores.0.thresholds"]?.array ?? []
            #expect(thresholds.map { $0["stage"] ?? $0["segment"] } == ["near", "warm"])
            #expect(thresholds.map { $0["holds"] } == [true, true])
            // Five points are a millisecond later less than five, and half of them a day later no more than 2.5.
            #expect(
                thresholds.map { $0["changesAt"] } == [
                    .string((start + .hours(24) + .milliseconds(1)).rfc3339),
                    .string((start + .hours(48)).rfc3339),
                ])
            let next = (card["next"]?.array ?? []).map { change in
                let what = change["segment"]?.string ?? "stage"
                let how = change["change"]?.string ?? change["stage"]?.string ?? "none"
                let at = change["at"]?.string.flatMap { Instant(rfc3339: $0) } ?? .distantPast
                return "\(what) \(how) \((at - start).text)"
            }
            #expect(next == ["stage aware 1d1ms", "warm exited 2d", "gone entered 4d"])
            // How long somebody must not leave is no number that is missing.
            #expect(card["withinReach"]?.array?.map { $0["segment"] } == ["gone"])
            // What was foretold is what comes.
            installation.clock.set(start + .days(5))
            try await installation.sweep()
            #expect(try await installation.journey(of: anna).last == "near > aware time 86400001")
            #expect(try await installation.story(of: "warm", anna).last == "exited time 172800000")
            #expect(try await installation.story(of: "gone", anna) == ["entered time 345600000"])
        }
    }

    @Test("a cap leaves less of an event, and a segment is within reach where it can be said how far it is")
    func missing() async throws {
        try await Installation.with { installation in
            try await define(installation)
            try await installation.append(
                [event("View"), event("View", .milliseconds(1)), event("Order")], to: anna)
            try await installation.append([event("Other")], to: bert)
            try await installation.drain()
            let card = try await card(installation, anna)
            #expect(card[path: "scores.0.events"]?.array?.last?["points"] == "2")
            #expect(card["withinReach"]?.array?.map { $0["segment"] } == ["gone", "regular"])
            #expect(
                card[path: "withinReach.1.whyNot.text"]
                    == #"did "Order" at least 3 times: 1 of 3 times; 2 more are needed"#)
            let other = try await self.card(installation, bert)
            #expect(other["stage"] == .null && other["next"] == [])
            #expect(other["stagesAhead"]?.array?.count == 3)
            #expect(other[path: "scores.0.score"] == "0")
            #expect(other[path: "scores.0.thresholds.0.missing"] == "5")
            #expect(other[path: "scores.0.thresholds.0.changesAt"] == .null)
            #expect(other["withinReach"]?.array?.map { $0["segment"] } == ["gone", "regular", "warm"])
        }
    }

    @Test("of who was merged it is the other's, and nobody has none")
    func whose() async throws {
        try await Installation.with { installation in
            try await define(installation)
            try await installation.append([event("View")], to: anna)
            try await installation.append([event("View", .milliseconds(5))], to: bert)
            try await installation.merge(bert, into: anna)
            try await installation.drain()
            let card = try await card(installation, bert)
            #expect(card["profileId"] == .string(anna.description))
            #expect(card[path: "scores.0.eventCount"] == 2)
            let harness = installation.harness
            let stranger = Installation.profile("stranger")
            #expect(try await harness.request("GET", "/v1/scorecard/\(stranger)").status == 404)
            #expect(try await harness.request("GET", "/v1/scorecard/anna").status == 400)
            #expect(try await harness.request("GET", "/v1/scorecard/\(anna)", as: .none).status == 401)
        }
    }
}
