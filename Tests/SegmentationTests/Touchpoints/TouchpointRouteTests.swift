import Foundation
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "Touchpoints over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct TouchpointRouteTests {
    private let start = Installation.start

    private func people(_ installation: Installation, _ count: Int) async throws {
        for number in 0..<count {
            let profile = Installation.profile("person-\(number)")
            func event(_ name: String, _ after: Duration) -> TrackingEvent {
                Installation.track(name, at: start + after, id: "\(number) \(name) \(after.text)")
            }
            var events = [event("Product Viewed", .zero)]
            let isCurious = number.isMultiple(of: 2)
            if isCurious {
                // Somebody who watches the film over and over, and mostly buys.
                for hour in 1..<300 where hour.isMultiple(of: 12) {
                    events.append(event("Film Watched", .hours(hour)))
                }
            }
            if isCurious ? !number.isMultiple(of: 10) : number % 10 == 1 {
                for hour in 1..<400 where hour % 47 == number % 47 {
                    events.append(event("Order Completed", .hours(hour)))
                }
            }
            try await installation.append(events, to: profile)
        }
        installation.clock.set(start + .hours(480))
        try await installation.drain()
    }

    @Test(
        "the matrix has a row for each touchpoint, with people, events and conversion in each stage, and its weight"
    )
    func matrix() async throws {
        try await Installation.with { installation in
            try await installation.putStages([
                ("aware", #"did "Product Viewed""#), ("ours", #"did "Order Completed""#),
            ])
            try await people(installation, 160)
            let learner = try installation.worker(TouchpointLearner.self)
            let made = try await installation.harness.request(
                "POST", "/v1/touchpoint-models",
                json: [
                    "horizon": "4d", "lookback": "5d", "touchpoints": ["Film Watched", "Product Viewed"],
                ],
                headers: ["Idempotency-Key": "k"])
            #expect(made.status == 202, "\(made.text)")
            let again = try await installation.harness.request(
                "POST", "/v1/touchpoint-models",
                json: [
                    "horizon": "4d", "lookback": "5d", "touchpoints": ["Film Watched", "Product Viewed"],
                ],
                headers: ["Idempotency-Key": "k"])
            #expect(again.json["modelId"] == made.json["modelId"])
            #expect(try await learner.step())
            #expect(try await !learner.step())
            let id = try #require(made.json["modelId"]?.string)
            let model = try await installation.harness.request("GET", "/v1/touchpoint-models/\(id)").json
            #expect(model["status"] == "done", "\(model.compact)")
            let film = model[path: "result.touchpoints"]?.array?.first { $0["touchpoint"] == "Film Watched" }
            #expect(film?["isClear"] == true && film?["low"]?.number ?? 0 > 0)
            let proposal = try #require(model[path: "result.proposal"])
            _ = try Scoring(RuleField(proposal))
            let list = try await installation.harness.request("GET", "/v1/touchpoint-models").json
            #expect(list["items"]?.array?.count == 1)

            let matrix = try await installation.harness.request(
                "GET", "/v1/interaction-matrix?horizon=4d&from=\(start.rfc3339)"
            ).json
            #expect(matrix["exact"] == true && matrix["population"] == 160, "\(matrix.compact)")
            #expect(matrix["modelId"] == .string(id))
            let rows = matrix["touchpoints"]?.array ?? []
            let viewed = rows.first { $0["touchpoint"] == "Product Viewed" }
            #expect(viewed?[path: "stages.0.stage"] == .null)
            #expect(viewed?[path: "stages.0.people.estimate"] == 160)
            let watched = rows.first { $0["touchpoint"] == "Film Watched" }
            #expect(watched?["stages"]?.array?.map { $0["stage"] } == ["aware", "ours"])
            #expect(watched?[path: "weight.coefficient"] == film?["coefficient"])
            #expect(viewed?["weight"] != nil)
        }
    }

    @Test("a model whose instance died is learned by another, and one that dies each time is given up")
    func abandoned() async throws {
        try await Installation.with { installation in
            try await people(installation, 3)
            let made = try await installation.harness.request("POST", "/v1/touchpoint-models", json: [:])
            let id = try #require(made.json["modelId"]?.string.flatMap { TouchpointModelID($0) })
            func expire() async throws {
                try await installation.owner.execute(
                    "UPDATE segmentation.touchpoint_model SET leased_until = now() - interval '1 second'")
            }
            let pool = installation.harness.running.context.pool
            func claim() async throws -> StoredTouchpointModel? {
                try await pool.transaction { try await TouchpointModelStore($0).claim() }
            }
            #expect(try await claim()?.id == id)
            #expect(try await claim() == nil)
            try await expire()
            #expect(
                try await pool.withConnection { try await !TouchpointModelStore($0).advance(id, examined: 1) }
            )
            #expect(try await claim()?.id == id)
            try await expire()
            #expect(try await claim()?.id == id)
            try await expire()
            #expect(try await claim() == nil)
            let answer = try await installation.harness.request("GET", "/v1/touchpoint-models/\(id)").json
            #expect(answer["status"] == "failed")
        }
    }

    @Test("who asks for too little, or for nonsense, is told what to change")
    func refused() async throws {
        try await Installation.with { installation in
            try await people(installation, 5)
            let path = "/v1/touchpoint-models"
            let made = try await installation.harness.request("POST", path, json: [:])
            _ = try await installation.worker(TouchpointLearner.self).step()
            let id = made.json["modelId"]?.string ?? ""
            let failed = try await installation.harness.request("GET", "\(path)/\(id)").json
            #expect(failed["status"] == "failed")
            #expect(failed["failure"]?.string?.contains("ask about more people") == true, "\(failed.compact)")
            #expect(try await installation.harness.request("DELETE", "\(path)/\(id)").status == 204)
            #expect(try await installation.harness.request("GET", "\(path)/\(id)").status == 404)
            for (body, place) in [
                (["people": 1], "people"), (["horizon": "9y"], "horizon"), (["penalty": 0], "penalty"),
                (["touchpoints": []], "touchpoints"), (["surprise": 1], "surprise"),
                (
                    ["conversion": ["event": "A", "where": [["property": "at", "after": "-3d"]]]],
                    "conversion"
                ),
            ] as [(JSON, String)] {
                let answer = try await installation.harness.request("POST", path, json: body)
                #expect(answer.status == 400, "\(body.compact)")
                #expect(
                    answer.json[path: "errors.0.path"]?.string?.hasPrefix(place) == true, "\(answer.text)")
            }
            for query in [
                "?horizon=0s", "?horizon=x", "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
                "?conversion=",
            ] {
                #expect(
                    try await installation.harness.request("GET", "/v1/interaction-matrix\(query)").status
                        == 400)
            }
            #expect(
                try await installation.harness.request("GET", "/v1/interaction-matrix", as: .none).status
                    == 401)
        }
    }
}
