import Foundation
import Models
import SegmentationDomain
import TestSupport
import Testing

@Suite(
    "The shipped segments, each on people of whom it is known who must be in it and when",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ExampleSegmentTests {
    private let start = Installation.start
    private let anna = Installation.profile("anna")
    private let bert = Installation.profile("bert")

    /// Stores a shipped file as it is, lets the people act and a year pass, and returns the story of the segment.
    private func story(
        _ id: String, _ anna: [TrackingEvent], _ bert: [TrackingEvent]
    ) async throws -> (anna: [String], bert: [String]) {
        var result: (anna: [String], bert: [String]) = ([], [])
        try await Installation.with { installation in
            let file = Installation.root.appending(path: "deploy/examples/segments/\(id).json")
            let answer = try await installation.harness.request(
                "PUT", "/v1/segments/\(id)", body: Array(try Data(contentsOf: file)))
            #expect(answer.status == 201, "\(answer.text)")
            try await installation.append(anna, to: self.anna)
            try await installation.append(bert, to: self.bert)
            try await installation.drain()
            installation.clock.advance(by: .days(400))
            try await installation.sweep()
            result = (
                try await installation.story(of: id, self.anna),
                try await installation.story(of: id, self.bert)
            )
        }
        return result
    }

    private func order(_ instant: Instant, total: JSON = 20) -> TrackingEvent {
        Installation.track("Order Completed", at: instant, properties: ["total": total])
    }

    private func milliseconds(_ duration: Duration) -> Int64 { duration.milliseconds }

    @Test("bought within 90 days ends 90 days after the latest order")
    func boughtRecently() async throws {
        let (anna, bert) = try await story(
            "bought-within-90-days", [order(start), order(start + .days(10))],
            [Installation.track("Product Viewed", at: start)])
        #expect(anna == ["entered event 0", "exited time \(milliseconds(.days(100)))"])
        #expect(bert == [])
    }

    @Test("lapsed begins 90 days after the latest order and ends with the next")
    func lapsed() async throws {
        let (anna, bert) = try await story(
            "lapsed", [order(start), order(start + .days(10)), order(start + .days(120))],
            [Installation.track("Product Viewed", at: start)])
        #expect(
            anna == [
                "entered time \(milliseconds(.days(100)))", "exited event \(milliseconds(.days(120)))",
                "entered time \(milliseconds(.days(210)))",
            ])
        #expect(bert == [])
    }

    @Test(
        "quiet begins 30 days after the latest thing that somebody did, and mails that were sent are no activity"
    )
    func quiet() async throws {
        let (anna, bert) = try await story(
            "quiet-30-days",
            [
                Installation.track("Product Viewed", at: start),
                Installation.track("Email Opened", at: start + .days(10)),
                Installation.track("Email Delivered", at: start + .days(20)),
                Installation.track("Email Link Clicked", at: start + .days(50)),
            ],
            [Installation.track("Email Delivered", at: start)])
        #expect(
            anna == [
                "entered time \(milliseconds(.days(40)))", "exited event \(milliseconds(.days(50)))",
                "entered time \(milliseconds(.days(80)))",
            ])
        #expect(bert == [])
    }

    @Test(
        "high value begins with the order that completes 1,000 and ends when too little is left of the year")
    func highValue() async throws {
        let (anna, bert) = try await story(
            "high-value",
            [order(start, total: "600.10"), order(start + .days(5), total: "399.90")],
            [order(start, total: "600.10"), order(start + .days(5), total: "399.89")])
        #expect(
            anna == ["entered event \(milliseconds(.days(5)))", "exited time \(milliseconds(.days(365)))"])
        #expect(bert == [])
    }

    @Test("a repeat viewer has viewed one product, not several, more than 3 times in 48 hours")
    func repeatViewer() async throws {
        let view = { (hours: Int, sku: String) in
            Installation.track(
                "Product Viewed", at: start + .hours(hours), id: "\(sku)@\(hours)",
                properties: ["sku": .string(sku)])
        }
        let (anna, bert) = try await story(
            "repeat-viewer",
            [view(0, "mug"), view(1, "mug"), view(2, "cup"), view(3, "mug"), view(47, "mug")],
            [
                view(0, "mug"), view(1, "cup"), view(2, "hat"), view(3, "mug"), view(50, "mug"),
                view(51, "mug"),
            ])
        #expect(
            anna == ["entered event \(milliseconds(.hours(47)))", "exited time \(milliseconds(.hours(48)))"])
        #expect(bert == [])
    }

    @Test("a cart is open an hour after the first thing in it, until the order or for a week")
    func cartOpen() async throws {
        let add = { (minutes: Int) in
            Installation.track("Product Added", at: start + .minutes(minutes), id: "add-\(minutes)")
        }
        let (anna, bert) = try await story(
            "cart-open", [add(0), add(30), order(start + .minutes(90))],
            [add(0), order(start + .minutes(59)), add(100)])
        #expect(
            anna == ["entered time \(milliseconds(.hours(1)))", "exited event \(milliseconds(.minutes(90)))"])
        #expect(
            bert == [
                "entered time \(milliseconds(.minutes(160)))",
                "exited time \(milliseconds(.minutes(100)) + milliseconds(.days(7)))",
            ])
    }
}
