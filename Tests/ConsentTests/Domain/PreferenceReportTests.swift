import ConsentDomain
import Foundation
import Models
import Testing

@Suite("What devices say with every event")
struct PreferenceReportTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)
    private let profile = ProfileID(UUIDv7.make(at: Instant(milliseconds: 1_700_000_000_000), random: (1, 1)))

    private func event(_ preferences: JSON) -> TrackingEvent {
        TrackingEvent(
            messageID: "m", kind: .page, timestamp: start, receivedAt: start,
            sourceID: SourceID(UUIDv7.make(at: start, random: (2, 2))),
            context: ["consent": ["categoryPreferences": preferences]])
    }

    @Test("categories are purposes of the same name; what is neither true nor false says nothing")
    func reading() {
        let read = PreferenceReport.preferences(
            of: event(["marketing": true, "analytics": false, "odd": "yes", "Not An Id": true, "none": .null])
        )
        #expect(read.map(\.purpose) == ["analytics", "marketing"])
        #expect(read.map(\.action) == [.withdraw, .grant])
        for odd: JSON in [.null, [], "marketing", 1, ["consent"]] {
            #expect(PreferenceReport.preferences(of: event(odd)).isEmpty)
        }
        var many: [String: JSON] = [:]
        for number in 0..<100 { many["p\(number)"] = true }
        #expect(
            PreferenceReport.preferences(of: event(.object(many))).count == PreferenceReport.mostCategories)
    }

    @Test(
        "a no by one signal of a device stands against a yes by another, and after a day of silence it is said anew"
    )
    func signals() {
        func key(_ device: String) -> PreferenceReport.Key {
            .init(profileID: profile, device: device, purpose: "ads")
        }
        var memory = PreferenceMemory()
        func take(_ device: String, _ action: ConsentAction, _ hours: Int) -> Bool {
            memory.take(
                PreferenceReport(key(device), action, at: start + .hours(hours)),
                beside: [key(device == "gpc" ? "preferences" : "gpc")])
        }
        #expect(take("gpc", .withdraw, 0))
        // From a server that doesn't pass the header on, with what was once clicked.
        #expect(!take("preferences", .grant, 1))
        #expect(!take("gpc", .withdraw, 2))
        #expect(!take("preferences", .grant, 3))
        // The browser has not said it for a day: what was clicked counts.
        #expect(take("preferences", .grant, 27))
        #expect(!take("preferences", .grant, 28))
        // And says it again.
        #expect(take("gpc", .withdraw, 40))
        #expect(!take("gpc", .withdraw, 41))
        #expect(!take("preferences", .grant, 42))
    }

    @Test("only what a device says anew is a decision, in whatever order its events come")
    func random() {
        var generator = seededGenerator("preferences")
        for _ in 0..<2_000 {
            var reports = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                PreferenceReport(
                    .init(
                        profileID: profile, device: ["a", "b"].randomElement(using: &generator) ?? "a",
                        purpose: "marketing"),
                    Bool.random(using: &generator) ? .grant : .withdraw,
                    at: start + .seconds(Int.random(in: 0...6, using: &generator)))
            }
            // In order, the decisions are the changes of each device.
            var (memory, ordered) = (PreferenceMemory(), PreferenceMemory())
            for report in reports { _ = memory.take(report) }
            reports.sort { ($0.at, $0.action.rawValue) < ($1.at, $1.action.rawValue) }
            var before: [String: ConsentAction] = [:]
            for report in reports {
                let isChange = before[report.key.device] != report.action
                let isDecision = ordered.take(report)
                #expect(isDecision == isChange)
                before[report.key.device] = report.action
            }
            // And whatever the order, what each has said last is known in the end.
            #expect(memory.last.mapValues(\.action) == ordered.last.mapValues(\.action))
            #expect(memory.last.mapValues(\.at) == ordered.last.mapValues(\.at))
        }
    }
}
