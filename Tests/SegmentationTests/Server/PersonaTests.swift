import Foundation
import Models
import SegmentationDomain
import TestSupport
import Testing

@Suite(
    "The shipped personas and stages, each on people of whom it is known who must be in it and when",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct PersonaTests {
    private let start = Installation.start

    private func file(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: Installation.root.appending(path: "deploy/examples/\(name).json")))
    }

    /// Stores a shipped segment as it is, lets the people act and two years pass, and returns the story of each:
    /// `entered event 2d`.
    private func stories(_ id: String, _ people: [String: [TrackingEvent]]) async throws -> [String: [String]]
    {
        var stories: [String: [String]] = [:]
        try await Installation.with { installation in
            let answer = try await installation.harness.request(
                "PUT", "/v1/segments/\(id)", body: try file("segments/\(id)"))
            #expect(answer.status == 201, "\(answer.text)")
            try await act(people, in: installation)
            for name in people.keys {
                let profile = Installation.profile(name)
                stories[name] = try await installation.changes(of: id).filter { $0.profileID == profile }
                    .map { "\($0.change) \($0.reason) \(($0.at - start).text)" }
            }
        }
        return stories
    }

    private func act(_ people: [String: [TrackingEvent]], in installation: Installation) async throws {
        for (name, events) in people {
            try await installation.append(events, to: Installation.profile(name))
        }
        try await installation.drain()
        installation.clock.advance(by: .days(730))
        try await installation.sweep()
    }

    private func event(_ name: String, _ after: Duration, _ properties: [String: JSON] = [:]) -> TrackingEvent
    {
        Installation.track(name, at: start + after, properties: properties)
    }

    private func days(_ name: String, _ days: Int...) -> [TrackingEvent] {
        days.map { event(name, .days($0)) }
    }

    @Test("a browser has looked at three things within 30 days, and taken nothing")
    func browser() async throws {
        let stories = try await stories(
            "browser",
            [
                "anna": days("Product Viewed", 0, 10) + days("Products Searched", 20),
                "bert": days("Product Viewed", 0, 1, 2) + days("Product Added", 3)
                    + days("Product Viewed", 20),
                "cleo": days("Product Viewed", 0, 10, 31),
            ])
        #expect(stories["anna"] == ["entered event 20d", "exited time 30d"])
        #expect(stories["bert"] == ["entered event 2d", "exited event 3d"])
        #expect(stories["cleo"] == [])
    }

    @Test("an engager has opened two mails within 30 days, or followed a link or shared something once")
    func engager() async throws {
        let stories = try await stories(
            "engager",
            [
                "anna": days("Email Opened", 0, 29), "bert": days("Email Opened", 0, 30, 65),
                "cleo": days("Email Link Clicked", 3) + days("Product Shared", 5),
            ])
        #expect(stories["anna"] == ["entered event 29d", "exited time 30d"])
        #expect(stories["bert"] == [])
        #expect(stories["cleo"] == ["entered event 3d", "exited time 35d"])
    }

    @Test("a diverter began the checkout and did not get as far as paying for half an hour")
    func diverter() async throws {
        let stories = try await stories(
            "diverter",
            [
                "anna": [event("Checkout Started", .zero)],
                "bert": [
                    event("Checkout Started", .zero), event("Payment Info Entered", .minutes(29)),
                ],
                "cleo": [event("Checkout Started", .zero), event("Order Completed", .minutes(31))],
            ])
        #expect(stories["anna"] == ["entered time 30m", "exited time 7d"])
        #expect(stories["bert"] == [])
        #expect(stories["cleo"] == ["entered time 30m", "exited event 31m"])
    }

    @Test("an abandoner has put something into the cart and ordered nothing for a day")
    func abandoner() async throws {
        let stories = try await stories(
            "abandoner",
            [
                "anna": days("Product Added", 0),
                "bert": days("Product Added", 0) + days("Order Completed", 5),
                "cleo": [event("Product Added", .zero), event("Order Completed", .hours(23))],
            ])
        #expect(stories["anna"] == ["entered time 1d", "exited time 30d"])
        #expect(stories["bert"] == ["entered time 1d", "exited event 5d"])
        #expect(stories["cleo"] == [])
    }

    @Test("a repeat buyer has ordered twice within a year")
    func repeatBuyer() async throws {
        let stories = try await stories(
            "repeat-buyer",
            ["anna": days("Order Completed", 0, 100), "bert": days("Order Completed", 0, 365)])
        #expect(stories["anna"] == ["entered event 100d", "exited time 365d"])
        #expect(stories["bert"] == [])
    }

    @Test("who is loyal has ordered four times within a year, and not long ago")
    func loyal() async throws {
        let stories = try await stories(
            "loyal",
            [
                "anna": days("Order Completed", 0, 10, 20, 30), "bert": days("Order Completed", 0, 10, 20),
                "cleo": days("Order Completed", 0, 100, 200, 300),
            ])
        #expect(stories["anna"] == ["entered event 30d", "exited time 150d"])
        #expect(stories["bert"] == [])
        #expect(stories["cleo"] == ["entered event 300d", "exited time 365d"])
    }

    @Test("an advocate has bought and spoken well of the shop; a bad review is none")
    func advocate() async throws {
        let review = { (day: Int, rating: JSON) in
            event("Product Reviewed", .days(day), ["rating": rating])
        }
        let stories = try await stories(
            "advocate",
            [
                "anna": days("Order Completed", 0) + [review(5, "5")],
                "bert": days("Order Completed", 0) + [review(5, 3)],
                "cleo": days("Product Shared", 0) + days("Order Completed", 10),
                "dora": [review(1, 5)],
            ])
        #expect(stories["anna"] == ["entered event 5d", "exited time 365d"])
        #expect(stories["bert"] == [])
        #expect(stories["cleo"] == ["entered event 10d", "exited time 365d"])
        #expect(stories["dora"] == [])
    }

    @Test("the shipped stages lead somebody from the first page to advocacy, and back as time passes")
    func stages() async throws {
        try await Installation.with { installation in
            let answer = try await installation.harness.request("PUT", "/v1/stages", body: try file("stages"))
            #expect(answer.status == 200, "\(answer.text)")
            #expect(
                answer.json["stages"]?.array?.map { $0["id"] }
                    == ["awareness", "consideration", "decision", "retention", "advocacy"])
            let page = TrackingEvent(
                messageID: "page", kind: .page, name: "Home", timestamp: start, receivedAt: start,
                sourceID: Installation.source)
            try await act(
                [
                    "anna": [page] + days("Product Viewed", 1, 2, 3)
                        + days("Product Added", 4) + days("Order Completed", 5)
                        + [event("Product Reviewed", .days(10), ["rating": 5])],
                    "bert": days("Product Viewed", 0) + days("Products Searched", 1, 2)
                        + days("Checkout Started", 10),
                    "cleo": [event("Email Opened", .zero)],
                ], in: installation)
            func journey(_ name: String) async throws -> [String] {
                try await installation.moves().filter { $0.profileID == Installation.profile(name) }
                    .map { "\($0.stage ?? "none") \(($0.at - start).text)" }
            }
            #expect(
                try await journey("anna") == [
                    "awareness 0s", "consideration 3d", "decision 4d", "retention 5d", "advocacy 10d",
                    "awareness 370d",
                ])
            #expect(
                try await journey("bert") == [
                    "awareness 0s", "consideration 2d", "decision 10d", "consideration 24d", "awareness 31d",
                ])
            #expect(try await journey("cleo") == [])
        }
    }

    @Test("the shipped score is taken as it is, and tells who comes back from who came once")
    func engagement() async throws {
        try await Installation.with { installation in
            let answer = try await installation.harness.request(
                "PUT", "/v1/scores/engagement", body: try file("scores/engagement"))
            #expect(answer.status == 201, "\(answer.text)")
            try await installation.put("warm", "score engagement at least 20")
            try await act(
                ["anna": days("Order Completed", 0, 14), "bert": days("Product Viewed", 0, 1, 2)],
                in: installation)
            // Thirty points are twenty after log2(1.5) half-lives.
            let story = try await installation.story(of: "warm", Installation.profile("anna"))
            #expect(
                story.dropLast() == [
                    "entered event 0", "exited time 1", "entered event \(Duration.days(14).milliseconds)",
                ])
            #expect(story.last?.hasPrefix("exited time 19171") == true, "\(story)")
            #expect(try await installation.story(of: "warm", Installation.profile("bert")) == [])
        }
    }
}
