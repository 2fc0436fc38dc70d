import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("Journey stages")
struct StageTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))
    private let start = Instant(milliseconds: 1_700_000_000_000)
    private let three: JSON = [
        ["id": "aware", "rule": #"did "A""#], ["id": "near", "rule": #"did "B" in 1 day"#],
        ["id": "ours", "rule": #"did "C" in 10 days"#],
    ]

    private func event(_ name: String, _ after: Duration) -> TrackingEvent {
        TrackingEvent(
            messageID: "\(name) \(after.text)", kind: .track, name: name, timestamp: start + after,
            receivedAt: start + after, sourceID: RandomHistory.source)
    }

    private func decider(
        _ stages: JSON, _ rules: [String: JSON] = [:], revision: Int64 = 1, version: Int = 1
    ) throws -> SegmentDecider {
        let segments = try rules.map {
            SegmentDefinition(id: $0.key, version: 1, condition: try RuleReader.read($0.value))
        }
        let list = StageDefinition.definitions(
            try StageDefinition.list(RuleField(stages)), version: version)
        return SegmentDecider(SegmentSet(revision: revision, segments: segments + list))
    }

    /// The moves of decisions that were made one after the other.
    private func story(_ changes: [MembershipChange]...) -> [String] {
        changes.flatMap { StageMoves.steps(in: $0) }.map {
            "\($0.previous ?? "none") > \($0.stage ?? "none") \($0.reason) \(($0.at - start).text)"
        }
    }

    private func problems(_ stages: JSON, _ rules: [String: JSON] = [:]) throws -> [String] {
        do {
            let list = try StageDefinition.list(RuleField(stages, at: RulePath(["stages"])))
            let segments = try rules.map {
                SegmentDefinition(id: $0.key, version: 1, condition: try RuleReader.read($0.value))
            }
            return StageDefinition.problems(of: list, among: segments, at: RulePath(["stages"]))
                .map { "\($0.path): \($0.expected)" }
        } catch let error as InvalidRule {
            return error.problems.map { "\($0.path): \($0.expected)" }
        }
    }

    @Test(
        "somebody is in the last stage whose rule holds, and falls back at the instant at which it ceases to")
    func moves() throws {
        let decider = try decider(three)
        var state = decider.newState()
        var changes = decider.apply(event("A", .zero), to: &state, of: profile)
        changes += decider.apply(event("B", .hours(1)), to: &state, of: profile)
        changes += decider.apply(event("C", .hours(2)), to: &state, of: profile)
        // That it ceases to be near is no move, as it is further than that.
        changes += decider.advance(&state, to: start + .days(20), of: profile)
        #expect(
            story(changes) == [
                "none > aware event 0s", "aware > near event 1h", "near > ours event 2h",
                "ours > aware time 10d2h",
            ])
        let evidence = StageMoves.steps(in: changes).map(\.evidence)
        #expect(evidence[2][path: "conditions.condition.stage"] == "ours")
        #expect(evidence[2][path: "conditions.parts.0.parts.0.events.0.messageId"] == "C 2h")
        #expect(evidence[3][path: "conditions.parts.2.condition.stageRule"] == "ours")
        #expect(evidence[3][path: "conditions.parts.2.holds"] == false)
        #expect(evidence[3][path: "before.parts.2.holds"] == true)
    }

    @Test("an event that comes late moves somebody once, from the instant on to which all is decided")
    func late() throws {
        let decider = try decider(three)
        var state = decider.newState()
        let first = decider.apply(event("A", .hours(5)), to: &state, of: profile)
        let late = decider.apply(event("C", .hours(2)), to: &state, of: profile)
        let later = decider.apply(event("B", .hours(3)), to: &state, of: profile)
        let time = decider.advance(&state, to: start + .days(20), of: profile)
        #expect(
            story(first, late, later, time) == [
                "none > aware event 5h", "aware > ours event 5h", "ours > aware time 10d2h",
            ])
    }

    @Test("other stages, or another order, move only who is in another one then")
    func changed() throws {
        let first = try decider(three)
        var state = first.newState()
        _ = first.apply(event("A", .zero), to: &state, of: profile)
        let events = [event("A", .zero), event("C", .hours(1))]
        _ = first.apply(events[1], to: &state, of: profile)
        let same = try decider(
            [["id": "ours", "rule": #"did "C""#], ["id": "new", "rule": #"did "D""#]], revision: 2, version: 2
        )
        let quiet = same.refresh(&state, with: events, now: start + .hours(2), of: profile)
        #expect(story(quiet) == [])
        let turned = try decider(
            [["id": "ours", "rule": #"did "C""#], ["id": "new", "rule": #"did "A""#]], revision: 3, version: 3
        )
        let moved = turned.refresh(&state, with: events, now: start + .hours(3), of: profile)
        #expect(story(moved) == ["ours > new definition 3h"])
        #expect(StageMoves.steps(in: moved).first?.version == 3)
        let none = try decider([], revision: 4, version: 4)
        let left = none.refresh(&state, with: events, now: start + .hours(4), of: profile)
        #expect(story(left) == ["new > none definition 4h"])
        #expect(state.segments.isEmpty)
    }

    @Test("a segment that asks for a stage changes with it at the same instant, and says why not")
    func looked() throws {
        let decider = try decider(three, ["near": "in stage near", "far": "not in stage near"])
        var state = decider.newState()
        var changes = decider.apply(event("B", .zero), to: &state, of: profile)
        changes += decider.apply(event("C", .hours(1)), to: &state, of: profile)
        #expect(
            changes.filter { $0.segment.count < 5 }.map {
                "\($0.segment) \($0.change) \(($0.at - start).text)"
            }
                == ["near entered 0s", "far entered 1h", "near exited 1h"])
        let why = try #require(decider.explain("near", of: state, at: start + .hours(1))?.whyNot)
        #expect(why.text == "in stage near: it is stage ours")
        #expect(why.json[path: "condition.stage"] == "near")
        let ever = try #require(decider.explain("near", of: state, at: start + .days(30))?.whyNot)
        #expect(ever.text.hasPrefix("in stage near (the rule of stage near"))
        #expect(ever.json[path: "because.condition.stageRule"] == "near")
        // A stage that there is not has nobody in it.
        let other = try self.decider(three, ["x": "in stage elsewhere"])
        var empty = other.newState()
        #expect(story(other.apply(event("A", .zero), to: &empty, of: profile)).count == 1)
        #expect(empty.segments["x"]?.isMember == false)
    }

    @Test("every mistake in a list of stages is named with its place")
    func mistakes() throws {
        #expect(try problems(three) == [])
        #expect(try problems("x") == ["stages: a list of up to 20 stages"])
        #expect(
            try problems([
                ["id": "a", "rule": "did"], ["id": "a", "rule": #"did "A""#], ["rule": 1], ["id": "b"],
            ])
            .map { $0.prefix { $0 != ":" } } == [
                "stages.0.rule", "stages.1.id", "stages.2.id", "stages.3.rule",
            ])
        #expect(
            try problems([["id": "a", "rule": #"did "A""#, "colour": 1]])
                == ["stages.0.colour: no such field; known are id, name, description, rule"])
        #expect(
            try problems([["id": "a", "rule": ["segment": "s"]]])
                == ["stages.0.rule.segment: the id of a segment that exists"])
    }

    @Test("stages cannot look at stages, not by way of a segment either")
    func cycles() throws {
        #expect(
            try problems([["id": "a", "rule": ["stage": "b"]], ["id": "b", "rule": #"did "A""#]])
                == ["stages.0.rule.stage: a stage that does not lead back: stage a → stage b → stage a"])
        #expect(
            try problems([["id": "a", "rule": ["not": ["segment": "s"]]]], ["s": ["stage": "a"]])
                == [
                    "stages.0.rule.not.segment: a segment that does not lead back: stage a → s → stage a"
                ])
        let all = try decider(three).set.segments
        #expect(
            SegmentReferences.problems(of: try RuleReader.read(["stage": "elsewhere"]), as: "s", among: all)
                .map(\.expected) == ["the id of a stage that exists"])
    }
}
