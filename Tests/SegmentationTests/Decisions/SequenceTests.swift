import Models
import SegmentationDomain
import Testing

@Suite("Sequences")
struct SequenceTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func event(_ name: String, after: Duration) -> TrackingEvent {
        TrackingEvent(
            messageID: "\(name) \(after.text)", kind: .track, name: name, timestamp: start + after,
            receivedAt: start + .days(30), sourceID: RandomHistory.source)
    }

    /// What happens to a membership, in hours after the start.
    private func story(
        _ rule: JSON, _ events: [TrackingEvent], until end: Duration = .days(60)
    ) throws -> [String] {
        let definition = SegmentDefinition(id: "s", version: 1, condition: try RuleReader.read(rule))
        let decider = SegmentDecider(SegmentSet(revision: 1, segments: [definition]))
        var state = decider.newState()
        var changes = events.flatMap { decider.apply($0, to: &state, of: profile) }
        changes += decider.advance(&state, to: start + end, of: profile)
        return changes.map { "\($0.change) \($0.reason) \(($0.at - start).text)" }
    }

    private let abandoned: JSON = [
        "sequence": [
            "steps": [["event": "Product Added"], ["not": ["event": "Order Completed"], "within": "24h"]],
            "within": "7d",
        ]
    ]

    @Test("a cart is abandoned exactly at the 24th hour, and until it leaves the window")
    func abandonedCart() throws {
        #expect(
            try story(abandoned, [event("Product Added", after: .zero)]) == [
                "entered time 1d", "exited time 7d",
            ])
    }

    @Test("an order before the 24th hour prevents it, one at that hour comes too late")
    func orderInTime() throws {
        let added = event("Product Added", after: .zero)
        let almost = event("Order Completed", after: .hours(24) - .milliseconds(1))
        #expect(try story(abandoned, [added, almost]) == [])
        let late = event("Order Completed", after: .hours(24))
        #expect(try story(abandoned, [added, late]) == ["entered time 1d", "exited time 7d"])
        let atOnce = event("Order Completed", after: .zero)
        #expect(try story(abandoned, [added, atOnce]) == [])
    }

    @Test("an order that arrives late, but happened in time, ends it")
    func lateOrder() throws {
        let events = [
            event("Product Added", after: .zero), event("Cart Viewed", after: .hours(30)),
            event("Order Completed", after: .hours(3)),
        ]
        #expect(try story(abandoned, events) == ["entered time 1d", "exited event 1d6h"])
    }

    @Test("three views in two days, and no order in the day after")
    func repeated() throws {
        let rule: JSON = [
            "sequence": [
                "steps": [
                    ["event": "Product Viewed", "atLeast": 3, "in": "48h"],
                    ["not": ["event": "Order Completed"], "within": "24h"],
                ]
            ]
        ]
        let slow = [0, 24, 48].map { event("Product Viewed", after: .hours($0)) }
        #expect(try story(rule, slow) == [])
        let quick = [0, 24, 47].map { event("Product Viewed", after: .hours($0)) }
        #expect(try story(rule, quick) == ["entered time 2d23h"])
    }

    @Test("of more events than are remembered the latest are looked at")
    func many() throws {
        let rule: JSON = ["sequence": ["steps": [["event": "A"], ["event": "B"]]]]
        let definition = SegmentDefinition(id: "s", version: 1, condition: try RuleReader.read(rule))
        let decider = SegmentDecider(SegmentSet(revision: 1, segments: [definition]))
        var state = decider.newState()
        for minute in 0..<1_100 {
            _ = decider.apply(event("A", after: .minutes(minute)), to: &state, of: profile)
        }
        #expect(state.memory(0).occurrences.count == RuleLimits.sequenceEvents)
        #expect(
            decider.apply(event("B", after: .minutes(1_100)), to: &state, of: profile).map(\.change) == [
                .entered
            ])
    }
}
