import Foundation
import Models
import SegmentationDomain
import TestSupport
import Testing

@Suite(
    "A shipped segment for each kind of rule, on people of whom it is known who must be in it and when",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ExampleRuleTests {
    private let start = Installation.start

    /// Stores shipped files as they are, in the order in which they are loaded; lets the people act, at their times, and
    /// two years pass; and returns the story of the last segment for each: `entered event 2d`.
    private func stories(
        _ files: String..., people: [String: [TrackingEvent]],
        consents: [(name: String, state: ConsentChange.State, after: Duration)] = []
    ) async throws -> [String: [String]] {
        var stories: [String: [String]] = [:]
        try await Installation.with { installation in
            for file in files {
                let path = Installation.root.appending(path: "deploy/examples/\(file).json")
                let answer = try await installation.harness.request(
                    "PUT", "/v1/\(file)", body: Array(try Data(contentsOf: path)))
                #expect(answer.status == 201, "\(answer.text)")
            }
            for (name, events) in people.sorted(by: { $0.key < $1.key }) {
                try await installation.append(events, to: Installation.profile(name))
            }
            try await installation.drain()
            installation.clock.advance(by: .days(730))
            for consent in consents {
                try await installation.decide(
                    consent.state, "marketing", by: Installation.profile(consent.name),
                    at: start + consent.after)
            }
            try await installation.drainConsents()
            try await installation.sweep()
            let id = files.last?.split(separator: "/").last.map(String.init) ?? ""
            for name in people.keys {
                let profile = Installation.profile(name)
                stories[name] = try await installation.changes(of: id).filter { $0.profileID == profile }
                    .map { "\($0.change) \($0.reason) \(($0.at - start).text)" }
            }
        }
        return stories
    }

    private func event(
        _ name: String, _ after: Duration, _ properties: [String: JSON] = [:], context: [String: JSON] = [:]
    ) -> TrackingEvent {
        var event = Installation.track(name, at: start + after, properties: properties)
        event.context = context
        return event
    }

    private func call(
        _ kind: TrackingEvent.Kind, _ after: Duration, _ traits: [String: JSON], group: String? = nil
    ) -> TrackingEvent {
        TrackingEvent(
            messageID: "\(kind)@\(after.text)", kind: kind, groupID: group, timestamp: start + after,
            receivedAt: start + after, sourceID: Installation.source, traits: traits)
    }

    private func shoes(_ hours: Int..., category: JSON = "Shoes") -> [TrackingEvent] {
        hours.map { event("Product Viewed", .hours($0), ["category": category]) }
    }

    @Test(
        "a sequence: three looks at shoes in 48 hours and no order in the 24 hours after, at the 24th hour exactly"
    )
    func sequence() async throws {
        let stories = try await stories(
            "segments/shoe-shopper",
            people: [
                "anna": shoes(0, 10, 47), "bert": shoes(0, 10, 48),
                "cleo": shoes(0, 10, 47) + [event("Order Completed", .hours(70))],
                "dora": shoes(0, 10, 47) + [event("Order Completed", .hours(71))],
                "emil": shoes(0, 10, 47, category: "Hats"),
            ])
        #expect(stories["anna"] == ["entered time 2d23h", "exited time 30d"])
        #expect(stories["bert"] == [], "the third look is too late by an instant")
        #expect(stories["cleo"] == [])
        #expect(stories["dora"] == ["entered time 2d23h", "exited time 30d"], "it comes too late")
        #expect(stories["emil"] == [])
    }

    @Test("a ratio: three mails opened in 30 days and no link followed")
    func ratio() async throws {
        func opened(_ days: Int...) -> [TrackingEvent] { days.map { event("Email Opened", .days($0)) } }
        let stories = try await stories(
            "segments/opens-without-clicking",
            people: [
                "anna": opened(0, 10, 20), "bert": opened(0, 10, 30),
                "cleo": opened(0, 10, 20) + [event("Email Link Clicked", .days(21))],
                "dora": [event("Email Link Clicked", .zero)] + opened(5, 6, 7),
            ])
        #expect(stories["anna"] == ["entered event 20d", "exited time 30d"])
        #expect(stories["bert"] == [])
        #expect(stories["cleo"] == ["entered event 20d", "exited event 21d"])
        #expect(stories["dora"] == ["entered time 30d", "exited time 35d"])
    }

    @Test("a calendar day: it ends at midnight in Berlin, whenever it began")
    func calendarDay() async throws {
        let zone = try #require(CivilZone(name: "Europe/Berlin"))
        let midnight = zone.start(ofDay: zone.day(of: start) + 1) - start
        let stories = try await stories(
            "segments/active-today",
            people: [
                "anna": [event("Product Viewed", .zero), event("Product Viewed", .minutes(5))],
                "bert": [event("Product Viewed", .zero), event("Product Viewed", midnight)],
            ])
        #expect(stories["anna"] == ["entered event 5m", "exited time \(midnight.text)"])
        #expect(stories["bert"] == [])
    }

    @Test("a trait: as it was last said")
    func trait() async throws {
        let stories = try await stories(
            "segments/gold-tier",
            people: [
                "anna": [
                    call(.identify, .zero, ["loyalty": ["tier": "gold"]]),
                    call(.identify, .days(1), ["loyalty": ["tier": "silver"]]),
                ], "bert": [call(.identify, .zero, ["loyalty": "gold"])],
            ])
        #expect(stories["anna"] == ["entered event 0s", "exited event 1d"])
        #expect(stories["bert"] == [])
    }

    @Test("age: from the beginning of the eighteenth birthday in Berlin on")
    func age() async throws {
        let zone = try #require(CivilZone(name: "Europe/Berlin"))
        let day = zone.day(of: start + .days(100))
        let date = CivilDate(daysSinceEpoch: day)
        let birthday = "\(date.year - 18)\(date.text.dropFirst(4))"
        let stories = try await stories(
            "segments/of-age",
            people: [
                "anna": [call(.identify, .zero, ["birthday": .string(birthday)])],
                "bert": [call(.identify, .zero, ["birthday": "1980-05-05"])],
                "cleo": [call(.identify, .zero, ["birthday": "unknown"])],
            ])
        #expect(stories["anna"] == ["entered time \((zone.start(ofDay: day) - start).text)"])
        #expect(stories["bert"] == ["entered event 0s"])
        #expect(stories["cleo"] == [])
    }

    @Test("a birthday: on that day of each year in Berlin, for who has agreed to be told so")
    func birthday() async throws {
        let zone = try #require(CivilZone(name: "Europe/Berlin"))
        let day = zone.day(of: start + .days(100))
        let date = CivilDate(daysSinceEpoch: day)
        let next = try #require(CivilDate(year: date.year + 1, month: date.month, day: date.day))
        let birthday = call(.identify, .zero, ["birthday": .string("1990\(date.text.dropFirst(4))")])
        let stories = try await stories(
            "segments/birthday-today",
            people: ["anna": [birthday], "bert": [birthday], "cleo": [birthday]],
            consents: [
                ("anna", .granted, .days(1)), ("bert", .granted, .days(1)), ("bert", .withdrawn, .days(200)),
            ])
        func told(_ day: Int64) -> String { (zone.start(ofDay: day) - start).text }
        let first = ["entered time \(told(day))", "exited time \(told(day + 1))"]
        #expect(
            stories["anna"] == first + [
                "entered time \(told(next.daysSinceEpoch))", "exited time \(told(next.daysSinceEpoch + 1))",
            ])
        #expect(stories["bert"] == first)
        #expect(stories["cleo"] == [])
    }

    @Test("geography: where the latest event was, or else where the address is")
    func geography() async throws {
        func seen(_ country: JSON, _ after: Duration) -> TrackingEvent {
            event("Product Viewed", after, context: ["location": ["country": country]])
        }
        let stories = try await stories(
            "segments/in-germany",
            people: [
                "anna": [seen("DE", .zero), seen("FR", .days(1)), seen("DE", .days(2))],
                "bert": [
                    call(.identify, .zero, ["address": ["country": "DE"]]), seen("FR", .days(3)),
                ], "cleo": [seen("FR", .zero)],
            ])
        #expect(stories["anna"] == ["entered event 0s", "exited event 1d", "entered event 2d"])
        #expect(stories["bert"] == ["entered event 0s", "exited event 3d"])
        #expect(stories["cleo"] == [])
    }

    @Test(
        "a score: by one order for the instant alone, by two at once until half of it is gone, to the millisecond"
    )
    func score() async throws {
        let again = Installation.track("Order Completed", at: start, id: "another")
        let stories = try await stories(
            "scores/engagement", "segments/warm",
            people: [
                "anna": [event("Order Completed", .zero), again], "bert": [event("Order Completed", .zero)],
                "cleo": [event("Product Viewed", .zero)],
            ])
        #expect(stories["anna"] == ["entered event 0s", "exited time 14d1ms"])
        #expect(stories["bert"] == ["entered event 0s", "exited time 1ms"])
        #expect(stories["cleo"] == [])
    }

    @Test(
        "a computed trait: from the view that makes shoes the favourite to the instant at which time alone ends it"
    )
    func computedTrait() async throws {
        func view(_ category: String, _ day: Int) -> TrackingEvent {
            event("Product Viewed", .days(day), ["category": .string(category)])
        }
        let stories = try await stories(
            "computed-traits/favourite-category", "segments/prefers-shoes",
            people: [
                "anna": [view("Hats", 0), view("Shoes", 1), view("Shoes", 2), view("Hats", 3)],
                "bert": [view("Shoes", 0), view("Shoes", 10), view("Hats", 20)],
                "cleo": [view("Hats", 0)],
            ])
        // Of as many the one that was looked at later; on day 90 the first hat is gone, and on day 91 the first shoe.
        #expect(
            stories["anna"] == [
                "entered event 1d", "exited event 3d", "entered time 90d", "exited time 91d",
            ])
        #expect(stories["bert"] == ["entered event 0s", "exited time 90d"])
        #expect(stories["cleo"] == [])
    }

    @Test("other segments: worth much within the year and without an order for 90 days")
    func otherSegments() async throws {
        func order(_ day: Int, _ total: JSON) -> TrackingEvent {
            event("Order Completed", .days(day), ["total": total])
        }
        let stories = try await stories(
            "segments/high-value", "segments/lapsed", "segments/win-back",
            people: [
                "anna": [order(0, 600), order(10, 500)], "bert": [order(0, 600), order(10, 300)],
                "cleo": [order(0, 1_200), order(150, 10)],
            ])
        #expect(stories["anna"] == ["entered time 100d", "exited time 365d"])
        #expect(stories["bert"] == [])
        #expect(
            stories["cleo"] == [
                "entered time 90d", "exited event 150d", "entered time 240d", "exited time 365d",
            ])
    }

    @Test("an account: as the latest group call of each says")
    func account() async throws {
        let stories = try await stories(
            "segments/business-account",
            people: [
                "anna": [
                    call(.group, .zero, ["plan": "business"], group: "acme"),
                    call(.group, .days(1), ["plan": "free"], group: "home"),
                    call(.group, .days(2), ["plan": "free"], group: "acme"),
                ], "bert": [call(.group, .zero, ["seats": 5], group: "acme")],
            ])
        #expect(stories["anna"] == ["entered event 0s", "exited event 2d"])
        #expect(stories["bert"] == [])
    }

    @Test("every shipped segment is stored as it is, in the order of the files")
    func all() async throws {
        try await Installation.with { installation in
            let folder = Installation.root.appending(path: "deploy/examples")
            for kind in ["scores", "computed-traits", "segments"] {
                let files = try FileManager.default.contentsOfDirectory(
                    at: folder.appending(path: kind), includingPropertiesForKeys: nil)
                for file in files.sorted(by: { $0.lastPathComponent < $1.lastPathComponent }) {
                    let id = file.deletingPathExtension().lastPathComponent
                    let answer = try await installation.harness.request(
                        "PUT", "/v1/\(kind)/\(id)", body: Array(try Data(contentsOf: file)))
                    #expect(answer.status == 201, "\(id): \(answer.text)")
                }
            }
        }
    }
}
