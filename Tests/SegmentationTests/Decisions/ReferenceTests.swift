import Models
import SegmentationDomain
import Testing

@Suite("Segments that look at others")
struct ReferenceTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    private func definition(_ id: String, _ rule: JSON) throws -> SegmentDefinition {
        SegmentDefinition(id: id, version: 1, condition: try RuleReader.read(rule))
    }

    private func problems(_ id: String, _ rule: JSON, _ others: [String: JSON]) throws -> [String] {
        SegmentReferences.problems(
            of: try RuleReader.read(rule), as: id, among: try others.map { try definition($0.key, $0.value) }
        ).map { "\($0.path): \($0.expected)" }
    }

    @Test("a reference to itself, to nothing, or to one that leads back is refused with its place")
    func refused() throws {
        let plain: JSON = ["count": ["event": "A"]]
        #expect(try problems("a", ["segment": "a"], [:]) == ["segment: a segment other than this one"])
        #expect(
            try problems("a", ["all": [plain, ["not": ["segment": "b"]]]], [:])
                == ["all.1.not.segment: the id of a segment that exists"])
        #expect(
            try problems(
                "a", ["any": [["segment": "b"]]], ["b": ["segment": "c"], "c": ["not": ["segment": "a"]]])
                == ["any.0.segment: a segment that does not lead back: a → b → c → a"])
        #expect(try problems("a", ["segment": "b"], ["a": ["segment": "b"], "b": plain]) == [])
    }

    @Test("what is looked at together has a limit")
    func tooMuch() throws {
        let plain: JSON = ["any": .array(Array(repeating: ["count": ["event": "A"]], count: 400))]
        let rule: JSON = ["any": .array(Array(repeating: ["segment": "b"], count: 5))]
        #expect(try problems("a", rule, ["b": plain]).count == 5)
    }

    @Test("segments that lead back to themselves, though they must not, decide nothing about each other")
    func cycle() throws {
        let count: JSON = ["count": ["event": "A", "within": "1s"]]
        let decider = SegmentDecider(
            SegmentSet(
                revision: 1,
                segments: [
                    try definition("a", ["any": [["segment": "b"], count]]),
                    try definition("b", ["segment": "a"]),
                    try definition("c", ["not": ["segment": "a"]]),
                ]))
        var state = decider.newState()
        let event = TrackingEvent(
            messageID: "m", kind: .track, name: "A", timestamp: Instant(milliseconds: 5),
            receivedAt: Instant(milliseconds: 5), sourceID: RandomHistory.source)
        var changes = decider.apply(event, to: &state, of: profile)
        changes += decider.advance(&state, to: Instant(milliseconds: 5_000), of: profile)
        #expect(
            changes.map { "\($0.segment) \($0.change) \($0.at.milliseconds)" } == [
                "a entered 5", "c entered 5", "a exited 1005",
            ])
    }

    @Test("one changes with the other at the same instant, and shows why")
    func together() throws {
        let decider = SegmentDecider(
            SegmentSet(
                revision: 1,
                segments: [
                    try definition("active", ["count": ["event": "A", "within": "1d"]]),
                    try definition("asleep", ["not": ["segment": "active"]]),
                ]))
        var state = decider.newState()
        let start = Instant(milliseconds: 1_000)
        let event = TrackingEvent(
            messageID: "m", kind: .track, name: "A", timestamp: start, receivedAt: start,
            sourceID: RandomHistory.source)
        #expect(decider.apply(event, to: &state, of: profile).map(\.segment) == ["active"])
        let changes = decider.advance(&state, to: start + .days(2), of: profile)
        #expect(
            changes.map { "\($0.segment) \($0.change) \(($0.at - start).text) \($0.reason)" } == [
                "active exited 1d time", "asleep entered 1d time",
            ])
        let before = try #require(changes[1].evidence["before"])
        #expect(before[path: "parts.0.condition.segment"] == "active")
        #expect(before[path: "parts.0.parts.0.events.0.messageId"] == "m")
        let explained = try #require(decider.explain("asleep", of: state, at: start + .days(2)))
        #expect(explained.holds)
        #expect(explained.parts[0].parts[0].text == "did \"A\" in 1 day")
    }
}
