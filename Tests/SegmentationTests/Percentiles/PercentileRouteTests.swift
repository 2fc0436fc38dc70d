import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Models of percentiles over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PercentileRouteTests {
    private let start = Installation.start
    private let path = "/v1/percentile-models"
    private let spend: JSON = [
        "model": "spend",
        "measure": ["sum": ["event": "Order Completed", "property": "total", "within": "365d"]],
    ]

    private func person(_ number: Int) -> ProfileID { Installation.profile("person-\(number)") }

    private func order(_ installation: Installation, _ number: Int, _ total: Int, _ day: Int) async throws {
        let event = Installation.track(
            "Order Completed", at: start + .days(day), id: "\(number) \(day)",
            properties: ["total": .integer(Int64(total))])
        try await installation.append([event], to: person(number))
    }

    /// Twenty people of whom each has spent more than the one before, and a day later; and one who only looked.
    private func people(_ installation: Installation) async throws {
        for number in 1...20 { try await order(installation, number, number * 10, number) }
        try await installation.append([Installation.track("Product Viewed", at: start)], to: person(21))
        installation.clock.set(start + .days(30))
        try await installation.drain()
    }

    private func make(_ installation: Installation, _ body: JSON? = nil) async throws -> JSON {
        let made = try await installation.harness.request("POST", path, json: body ?? spend)
        #expect(made.status == 202, "\(made.text)")
        #expect(try await installation.worker(PopulationModelLearner.self).step())
        let id = try #require(made.json["modelId"]?.string)
        return try await installation.harness.request("GET", "\(path)/\(id)").json
    }

    @Test(
        "the shipped segment has the top tenth by the first edition, to the instant at which an order is too old, and says why not by how much"
    )
    func shipped() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            let file = Installation.root.appending(path: "deploy/examples/segments/top-tenth-spender.json")
            let put = try await harness.request(
                "PUT", "/v1/segments/top-tenth-spender", body: Array(try Data(contentsOf: file)))
            #expect(put.status == 201 && put.json["notices"]?.array?.count == 1, "\(put.text)")
            try await people(installation)
            #expect(try await installation.members("top-tenth-spender") == [])
            let model = try await make(installation)
            #expect(model["status"] == "done" && model["examined"] == 21, "\(model.compact)")
            #expect(model[path: "edition.people"] == 20 && model[path: "edition.thresholds.89"] == "180")
            #expect(model["measure"] == spend["measure"] && model["segments"] == nil)
            try await installation.backfill()
            #expect(try await installation.members("top-tenth-spender") == [person(19), person(20)])
            let whyNot = try await harness.request(
                "GET", "/v1/segments/top-tenth-spender/members/\(person(18))/why")
            #expect(
                whyNot.status == 200 && whyNot.json[path: "whyNot.text"]?.string?.contains("180") == true,
                "\(whyNot.text)")
            installation.clock.set(start + .days(19 + 365) - .milliseconds(1))
            try await installation.sweep()
            #expect(try await installation.members("top-tenth-spender") == [person(19), person(20)])
            installation.clock.set(start + .days(19 + 365))
            try await installation.sweep()
            #expect(try await installation.members("top-tenth-spender") == [person(20)])
        }
    }

    @Test("a new edition switches the rules that name it together, and tells true differences alone")
    func switching() async throws {
        try await Installation.with { installation in
            try await people(installation)
            _ = try await make(installation)
            try await installation.put("top", "percentile spend at least 90")
            try await installation.put("low", "percentile spend at most 9")
            try await installation.put("other", "percentile other at least 90")
            try await installation.backfill()
            #expect(try await installation.members("top") == [person(19), person(20)])
            #expect(try await installation.members("low") == [person(1), person(2)])
            for number in 1...10 { try await order(installation, number, 1_000, 31) }
            installation.clock.set(start + .days(32))
            try await installation.drain()
            try await installation.sweep()
            #expect(try await installation.members("top").count == 12)
            let before = try await installation.changes().map(\.reason)
            let model = try await make(installation)
            #expect(model[path: "edition.number"] == 2, "\(model.compact)")
            #expect(try await installation.members("top").count == 12, "the old one still answers")
            try await installation.backfill()
            #expect(try await installation.members("top") == [person(9), person(10)])
            #expect(try await installation.members("low") == [person(11), person(12)])
            let told = try await installation.changes().map(\.reason)
            #expect(told.count == before.count + 12)
            #expect(told.count { $0 == .definition } == before.count { $0 == .definition } + 12)
            let other = try await installation.harness.request("GET", "/v1/segments/other").json
            #expect(other["version"] == 1 && other["next"] == .null)
            let list = try await installation.harness.request("GET", path).json["items"]?.array ?? []
            #expect(list.map { $0[path: "edition.number"] } == [2, 1])
            #expect(try await installation.harness.request("GET", "/v1/rfm-models").json["items"] == [])
            let ids = list.compactMap { $0["modelId"]?.string }
            #expect(try await installation.harness.request("DELETE", "\(path)/\(ids[0])").status == 409)
            #expect(try await installation.harness.request("DELETE", "\(path)/\(ids[1])").status == 204)
            #expect(try await installation.harness.request("GET", "/v1/rfm-models/\(ids[0])").status == 404)
        }
    }

    @Test("a score is compared among everybody, and its decay passes the threshold at the exact instant")
    func scores() async throws {
        try await Installation.with { installation in
            try await installation.putScore(
                "engagement",
                ["halfLife": "10d", "events": [["event": "Order Completed", "weight": 8]]])
            try await people(installation)
            try await installation.backfill()
            let model = try await make(
                installation, ["model": "engaged", "measure": ["score": "engagement"]])
            #expect(model[path: "edition.people"] == 21, "\(model.compact)")
            try await installation.put("engaged", "percentile engaged at least 90")
            try await installation.backfill()
            #expect(try await installation.members("engaged") == [person(19), person(20)])
            installation.clock.set(start + .days(60))
            try await installation.sweep()
            #expect(try await installation.members("engaged") == [])
            // By then each has what the one two days before them had at the edition.
            let left = try await installation.changes(of: "engaged").filter { $0.change == .exited }
            #expect(left.allSatisfy { $0.reason == .time })
            let last = try #require(left.first { $0.profileID == person(20) }?.at)
            // The threshold is rounded up to a millionth of a point, which is a third of a second here.
            let early = (start + .days(32)) - last
            #expect(early >= .zero && early < .milliseconds(400), "\(early.text)")
        }
    }

    @Test("who asks for nonsense is told where, and a measure of nobody says so")
    func refused() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            try await installation.append([Installation.track("Product Viewed", at: start)], to: person(1))
            try await installation.drain()
            let nobody = try await make(installation)
            #expect(nobody["status"] == "failed", "\(nobody.compact)")
            for (body, place) in [
                (["model": "A B", "measure": ["score": "x"]], "model"), ([:], "measure"),
                (["measure": ["median": [:]]], "measure"),
                (["measure": ["count": ["event": 1]]], "measure.count.event"),
                (["measure": ["score": "x"], "surprise": 1], "surprise"),
            ] as [(JSON, String)] {
                let answer = try await harness.request("POST", path, json: body)
                #expect(
                    answer.status == 400 && answer.json[path: "errors.0.path"] == .string(place),
                    "\(answer.text)")
            }
            let stages = try await harness.request(
                "PUT", "/v1/stages", json: ["stages": [["id": "a", "rule": "percentile spend at least 9"]]])
            #expect(stages.status == 400, "\(stages.text)")
        }
    }
}
