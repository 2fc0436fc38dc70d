import Foundation
import Models
import SegmentationDomain
import TestSupport
import Testing

@Suite("What people do in each stage, and what follows")
struct InteractionMatrixTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func profile(_ number: Int) -> ProfileID {
        ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "person", "\(number)"))
    }

    private func event(_ name: String, _ after: Duration, _ number: Int = 0) -> TrackingEvent {
        TrackingEvent(
            messageID: "\(name) \(after.text) \(number)", kind: .track, name: name, timestamp: start + after,
            receivedAt: start + after, sourceID: RandomHistory.source)
    }

    private func decider() throws -> SegmentDecider {
        let stages: JSON = [
            ["id": "aware", "rule": #"did "View""#], ["id": "near", "rule": #"did "Add" in 1 day"#],
        ]
        let other = SegmentDefinition(
            id: "other", version: 1, condition: try RuleReader.read(#"did "View" at least 9 times"#))
        let list = StageDefinition.definitions(try StageDefinition.list(RuleField(stages)), version: 1)
        return SegmentDecider(SegmentSet(revision: 1, segments: list + [other])).onlyStages
    }

    private func question(_ days: Int, horizon: Duration = .hours(48)) throws -> InteractionMatrix.Question {
        InteractionMatrix.Question(
            conversion: try EventSelector(RuleField(["event": "Order"])), horizon: horizon, from: start,
            to: start + .hours(24 * 10), now: start + .hours(24 * days))
    }

    @Test(
        "an event counts in the stage in which it found the person, and not in the one that it brings about")
    func stages() throws {
        let decider = try decider()
        #expect(decider.set.segments.count == 4)
        let history = decider.staged(
            [
                event("Add", .hours(2)), event("View", .hours(1)), event("View", .zero),
                event("View", .hours(26)), event("View", .hours(25)),
            ], of: profile(0))
        #expect(history.map(\.stage) == [nil, "aware", "aware", "near", "aware"])
        #expect(history.map(\.at) == history.map(\.at).sorted())
    }

    @Test("who was followed by a conversion in time has converted, and of whom it is too early is open")
    func conversion() throws {
        var matrix = InteractionMatrix(try question(3))
        func add(_ events: [(String, Int)]) {
            matrix.add(
                events.map {
                    StagedEvent(event: event($0.0, .hours($0.1)), at: start + .hours($0.1), stage: nil)
                })
        }
        add([("View", 0), ("Order", 48)])
        add([("View", 0), ("Order", 49)])
        // The first of them decides.
        add([("View", 0), ("View", 10), ("Order", 50)])
        add([("View", 30)])
        // At the same instant is not after it.
        add([("View", 1), ("Order", 1)])
        let cell = try #require(
            matrix.cells[InteractionMatrix.Place(touchpoint: Touchpoint(name: "View"), stage: nil)])
        #expect(cell.people == 5 && cell.events == 6 && cell.converted == 1 && cell.open == 1)
        #expect(cell.settled == 4)
    }

    @Test("for random histories it is what counting by hand gives")
    func oracle() throws {
        var generator = seededGenerator()
        let decider = try decider()
        let names = ["View", "Add", "Order", "Mail"]
        let question = try question(11, horizon: .hours(20))
        for _ in 0..<50 {
            var matrix = InteractionMatrix(question)
            var people: [[(name: String, at: Instant, stage: String?)]] = []
            for number in 0..<20 {
                let events = (0..<Int.random(in: 0...25, using: &generator)).map { index in
                    event(
                        names[Int.random(in: 0..<4, using: &generator)],
                        .milliseconds(Int64.random(in: -100_000_000...900_000_000, using: &generator)), index)
                }
                let staged = decider.staged(events, of: profile(number))
                matrix.add(staged)
                // The stages are asked of the facts at each instant, without any state.
                people.append(
                    events.map { event in
                        let at = event.timestamp
                        func had(_ name: String, since: Instant) -> Bool {
                            events.contains {
                                $0.name == name && $0.timestamp > since && $0.timestamp < at
                            }
                        }
                        let stage =
                            had("Add", since: at - .hours(24))
                            ? "near" : had("View", since: .distantPast) ? "aware" : nil
                        return (event.name ?? "", at, stage)
                    }.sorted { $0.1 < $1.1 })
            }
            for name in names {
                for stage in [nil, "aware", "near"] as [String?] {
                    var expected = InteractionMatrix.Cell()
                    for person in people {
                        let own = person.filter {
                            $0.name == name && $0.stage == stage && $0.at >= question.from
                                && $0.at < question.to
                        }
                        guard let first = own.first else { continue }
                        expected.people += 1
                        expected.events += own.count
                        let followed = person.contains {
                            $0.name == "Order" && $0.at > first.at && $0.at <= first.at + question.horizon
                        }
                        if followed {
                            expected.converted += 1
                        } else if first.at + question.horizon > question.now {
                            expected.open += 1
                        }
                    }
                    let place = InteractionMatrix.Place(touchpoint: Touchpoint(name: name), stage: stage)
                    #expect((matrix.cells[place] ?? InteractionMatrix.Cell()) == expected)
                }
            }
        }
    }

    @Test("names that anybody may choose are told apart up to a limit, and the rest is counted")
    func manyNames() throws {
        var matrix = InteractionMatrix(try question(3))
        for number in 0..<(InteractionMatrix.mostTouchpoints + 5) {
            matrix.add([StagedEvent(event: event("E\(number)", .zero), at: start, stage: nil)])
        }
        #expect(matrix.cells.count == InteractionMatrix.mostTouchpoints)
        #expect(matrix.unlisted == 5)
    }
}
