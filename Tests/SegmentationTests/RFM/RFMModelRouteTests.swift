import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Models of recency, frequency and monetary value over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct RFMModelRouteTests {
    private let start = Installation.start
    private let path = "/v1/rfm-models"

    private func person(_ number: Int) -> ProfileID { Installation.profile("person-\(number)") }

    /// So many orders of somebody, the last of them at a day.
    private func orders(_ installation: Installation, _ number: Int, _ count: Int, _ day: Int) async throws {
        try await installation.append(
            (0..<count).map {
                Installation.track(
                    "Order Completed", at: start + .days(day) - .minutes($0), id: "\(number) \(day) \($0)",
                    properties: ["total": .integer(Int64(number))])
            }, to: person(number))
    }

    /// Ten people of whom each has ordered once more than the one before, and a day later; and one who only looked.
    private func people(_ installation: Installation) async throws {
        for number in 1...10 { try await orders(installation, number, number, number) }
        try await installation.append([Installation.track("Product Viewed", at: start)], to: person(11))
        installation.clock.set(start + .days(20))
        try await installation.drain()
    }

    private func make(_ installation: Installation, _ body: JSON = [:]) async throws -> JSON {
        let made = try await installation.harness.request("POST", path, json: body)
        #expect(made.status == 202, "\(made.text)")
        #expect(try await installation.worker(PopulationModelLearner.self).step())
        let id = try #require(made.json["modelId"]?.string)
        return try await installation.harness.request("GET", "\(path)/\(id)").json
    }

    @Test(
        "an edition has the thresholds of those who ordered, and who is in which segment leaves at the exact instant"
    )
    func editions() async throws {
        try await Installation.with { installation in
            try await people(installation)
            let harness = installation.harness
            // Before there is an edition a rule can be stored, and has nobody in it.
            let early = try await installation.put("lost", #"rfm default is "Lost""#)
            #expect(early.json[path: "notices.0.path"] == "rule.rfm", "\(early.text)")
            let model = try await make(installation)
            #expect(model["status"] == "done" && model["examined"] == 11, "\(model.compact)")
            #expect(model[path: "edition.recency"] == ["18d", "16d", "14d", "12d"])
            #expect(model[path: "edition.frequency"] == [2, 4, 6, 8])
            // Each has spent their number times so many orders.
            #expect(model[path: "edition.monetary"] == ["4", "16", "36", "64"])
            #expect(model[path: "edition.number"] == 1 && model[path: "edition.people"] == 10)
            #expect(model[path: "segments.Hibernating"] == 2 && model[path: "segments.Promising"] == 0)

            let champions = try await installation.put("champions", #"rfm default is "Champions""#)
            #expect(champions.json[path: "rule.rfm.edition.number"] == 1, "\(champions.text)")
            #expect(champions.json["text"] == #"rfm default is "Champions""#)
            #expect(champions.json["notices"] == [])
            let again = try await installation.put("champions", champions.json["rule"] ?? .null)
            #expect(again.headers["etag"] == champions.headers["etag"], "as it was answered it is the same")
            try await installation.put("loyal", #"rfm default is "Loyal Customers""#)
            try await installation.put("big", "rfm default recency at most 4 monetary exactly 4")
            try await installation.backfill()
            #expect(try await installation.members("champions") == [person(9), person(10)])
            #expect(try await installation.members("loyal") == [person(7), person(8)])
            #expect(try await installation.members("big") == [person(7), person(8)])
            #expect(try await installation.members("lost") == [person(1), person(2)])
            let preview = try await harness.request(
                "POST", "/v1/segments/preview", json: ["rule": #"rfm default is "Champions""#])
            #expect(preview.status == 200 && preview.text.contains(person(10).description), "\(preview.text)")

            // Twelve days after the last order, to the millisecond.
            installation.clock.set(start + .days(21) - .milliseconds(1))
            try await installation.sweep()
            #expect(try await installation.members("champions") == [person(9), person(10)])
            installation.clock.set(start + .days(21))
            try await installation.sweep()
            #expect(try await installation.members("champions") == [person(10)])
            let left = try await installation.story(of: "champions", person(9))
            #expect(left.last == "exited time \(Duration.days(21).milliseconds)")
            let why = try await harness.request(
                "GET", "/v1/segments/champions/members/\(person(9))/why"
            ).json
            #expect(why[path: "conditions.condition"] == "rfm" && why[path: "whyNot.text"] != nil)
        }
    }

    @Test("a new edition is a next version of the rules that name it, and switches them together")
    func switching() async throws {
        try await Installation.with { installation in
            try await people(installation)
            _ = try await make(installation)
            try await installation.put("champions", #"rfm default is "Champions""#)
            try await installation.put(
                "lost", #"not rfm default frequency at least 1 or rfm default is "Lost""#)
            try await installation.put("other", #"rfm other is "Champions""#)
            try await installation.put("plain", #"did "Order Completed""#)
            try await installation.backfill()
            try await orders(installation, 1, 12, 29)
            installation.clock.set(start + .days(30))
            try await installation.drain()
            try await installation.sweep()
            #expect(try await installation.members("champions") == [person(1)])
            let before = try await installation.changes().count
            let model = try await make(installation)
            #expect(model[path: "edition.number"] == 2)
            #expect(model[path: "edition.recency"] == ["27d", "25d", "23d", "21d"])
            #expect(model[path: "edition.frequency"] == [3, 5, 7, 9])
            let harness = installation.harness
            for id in ["champions", "lost"] {
                let segment = try await harness.request("GET", "/v1/segments/\(id)").json
                #expect(segment["version"] == 1 && segment[path: "next.version"] == 2, "\(segment.compact)")
                #expect(segment["status"] == "backfilling")
            }
            for id in ["other", "plain"] {
                #expect(try await harness.request("GET", "/v1/segments/\(id)").json["next"] == .null)
            }
            #expect(try await installation.members("champions") == [person(1)], "the old one still answers")
            try await installation.backfill()
            for id in ["champions", "lost"] {
                let segment = try await harness.request("GET", "/v1/segments/\(id)").json
                #expect(segment["version"] == 2 && segment["status"] == "live", "\(segment.compact)")
            }
            #expect(try await installation.members("champions") == [person(1), person(10)])
            let told = try await installation.changes().dropFirst(before)
            #expect(!told.isEmpty && told.allSatisfy { $0.reason == .definition })
            #expect(told.contains { $0.segment == "champions" && $0.profileID == person(10) })
            #expect(!told.contains { $0.segment == "champions" && $0.profileID == person(1) })
            // Only one of the two that there are is in force.
            let list = try await harness.request("GET", path).json["items"]?.array ?? []
            #expect(list.map { $0[path: "edition.number"] } == [2, 1])
            let ids = list.compactMap { $0["modelId"]?.string }
            #expect(try await harness.request("DELETE", "\(path)/\(ids[0])").status == 409)
            #expect(try await harness.request("DELETE", "\(path)/\(ids[1])").status == 204)
            #expect(try await harness.request("GET", "\(path)/\(ids[1])").status == 404)
        }
    }

    @Test("a computed trait has somebody's scores and the name, and says until when")
    func trait() async throws {
        try await Installation.with { installation in
            try await people(installation)
            let harness = installation.harness
            let made = try await harness.request(
                "PUT", "/v1/computed-traits/rfm", json: ["rfm": ["model": "default"]])
            #expect(made.status == 201 && made.json["rfm"] == ["model": "default"], "\(made.text)")
            func value(_ number: Int) async throws -> JSON {
                try await harness.request("GET", "/v1/profiles/\(person(number))/computed-traits")
                    .json[path: "computedTraits.0"] ?? .null
            }
            let before = try await value(9)
            #expect(before[path: "value.frequency"] == 9, "\(before.compact)")
            #expect(before[path: "value.scores"] == .null && before[path: "value.edition"] == .null)
            _ = try await make(installation)
            let now = try await value(9)
            #expect(now[path: "value.scores"] == ["recency": 5, "frequency": 5, "monetary": 5])
            #expect(now[path: "value.segment"] == "Champions" && now[path: "value.edition"] == 1)
            #expect(now["validUntil"] == .string((start + .days(21)).rfc3339))
            installation.clock.set(start + .days(21))
            #expect(try await value(9)[path: "value.segment"] == "Loyal Customers")
            #expect(try await value(11)["value"] == .null)
        }
    }

    @Test("the shipped segments have who must be in them by the first edition, and until when")
    func shipped() async throws {
        try await Installation.with { installation in
            for id in ["champions", "cant-lose-them"] {
                let file = Installation.root.appending(path: "deploy/examples/segments/\(id).json")
                let answer = try await installation.harness.request(
                    "PUT", "/v1/segments/\(id)", body: Array(try Data(contentsOf: file)))
                #expect(answer.status == 201 && answer.json["notices"]?.array?.count == 1, "\(answer.text)")
            }
            try await people(installation)
            // Somebody who ordered most of all, and before everybody else.
            try await orders(installation, 12, 12, 0)
            try await installation.drain()
            #expect(try await installation.members("champions") == [])
            let model = try await make(installation)
            try await installation.backfill()
            #expect(model[path: "edition.people"] == 11, "\(model.compact)")
            #expect(try await installation.members("champions") == [person(9), person(10)])
            #expect(try await installation.members("cant-lose-them") == [person(12)])
            installation.clock.set(start + .days(400))
            try await installation.sweep()
            #expect(try await installation.members("champions") == [])
            // A year after the orders they are none any more: that of the last one is the end of it.
            #expect(try await installation.members("cant-lose-them") == [])
        }
    }

    @Test("who asks for nonsense is told where, and a model of nobody says so")
    func refused() async throws {
        try await Installation.with { installation in
            let harness = installation.harness
            try await installation.append([Installation.track("Product Viewed", at: start)], to: person(1))
            try await installation.drain()
            let nobody = try await make(installation, ["model": "vip", "event": "Order Paid"])
            #expect(nobody["status"] == "failed" && nobody["model"] == "vip", "\(nobody.compact)")
            #expect(nobody["failure"]?.string?.contains("Order Paid") == true)
            #expect(try await !installation.worker(PopulationModelLearner.self).step())
            for (body, place) in [
                (["model": "A B"], "model"), (["event": 1], "event"), (["within": "9y"], "within"),
                (["surprise": 1], "surprise"), (["where": [["property": "a", "withinLast": "1d"]]], "where"),
            ] as [(JSON, String)] {
                let answer = try await harness.request("POST", path, json: body)
                #expect(
                    answer.status == 400 && answer.json[path: "errors.0.path"] == .string(place),
                    "\(answer.text)")
            }
            let stages = try await harness.request(
                "PUT", "/v1/stages",
                json: ["stages": [["id": "a", "rule": #"rfm default is "Lost""#]]])
            #expect(stages.status == 400, "\(stages.text)")
            let wrong = try await harness.request(
                "PUT", "/v1/segments/a", json: ["rule": ["rfm": ["segment": "Winners"]]])
            #expect(wrong.json[path: "errors.0.path"] == "rule.rfm.segment", "\(wrong.text)")
            for key in ["a", "b"] {
                let made = try await harness.request(
                    "POST", path, json: [:], headers: ["Idempotency-Key": key])
                let again = try await harness.request(
                    "POST", path, json: [:], headers: ["Idempotency-Key": key])
                #expect(made.status == 202 && again.json["modelId"] == made.json["modelId"])
            }
            for _ in 0..<8 { _ = try await harness.request("POST", path, json: [:]) }
            #expect(try await harness.request("POST", path, json: [:]).status == 429)
            #expect(try await harness.request("GET", path, as: .none).status == 401)
            #expect(try await harness.request("GET", "\(path)/nothing").status == 400)
        }
    }

    @Test("one whose instance died is made by another, and one that dies each time is given up")
    func abandoned() async throws {
        try await Installation.with { installation in
            let made = try await installation.harness.request("POST", path, json: [:])
            let id = try #require(made.json["modelId"]?.string.flatMap { PopulationModelID($0) })
            let pool = installation.harness.running.context.pool
            for _ in 0..<3 {
                let claimed = try await pool.transaction { try await PopulationModelStore($0).claim() }
                #expect(claimed?.id == id)
                try await installation.owner.execute(
                    "UPDATE segmentation.rfm_model SET leased_until = now() - interval '1 second'")
                #expect(
                    try await pool.withConnection {
                        try await !PopulationModelStore($0).advance(id, examined: 1, leftOut: 0)
                    })
            }
            #expect(try await pool.transaction { try await PopulationModelStore($0).claim() } == nil)
            let answer = try await installation.harness.request("GET", "\(path)/\(id)").json
            #expect(answer["status"] == "failed")
        }
    }
}
