import Models
import SegmentationDomain
import Testing

@Suite("In bulk, as event by event")
struct BulkEdgeTests {
    @Test("a profile with more events than the engine keeps is left to it")
    func limits() throws {
        let events = (0..<10_050).map { event("A", at: $0, ["price": 1]) }
        let rules: [JSON] = [
            ["sum": ["event": "A", "property": "price", "within": "1d", "atLeast": 10_020]],
            ["sum": ["event": "A", "property": "price", "within": "1d", "exactly": 10_000]],
        ]
        let bulk = try Bulk(rules, [events, Array(events.prefix(10_000))], at: 20_000)
        #expect(bulk.undecided == [0])
        #expect(try bulk.members() == [[], [0, 1]])
    }

    @Test("so is one with more events of a sequence than that")
    func sequenceLimits() throws {
        let first = event("A", at: 0)
        let second = event("B", at: 1)
        let rule: JSON = ["sequence": ["steps": [["event": "A"], ["event": "B"]]]]
        let enough = (0..<998).map { event("B", at: 10 + $0) }
        let bulk = try Bulk(
            [rule], [[first, second] + enough, [first, second] + enough + [event("B", at: 5)]], at: 2_000)
        #expect(bulk.undecided == [1])
        // Of the latest thousand none is the beginning.
        #expect(try bulk.members() == [[0]])
    }

    @Test("an event that came twice counts once, and two of one message id are left to the engine")
    func duplicates() throws {
        let one = event("A", at: 5, id: "m", ["price": 1])
        let other = event("A", at: 5, id: "m", ["price": 2])
        let later = event("A", at: 6, id: "m", ["price": 1])
        let rules: [JSON] = [
            ["count": ["event": "A", "exactly": 1]],
            ["sum": ["event": "A", "property": "price", "exactly": 1]],
        ]
        let bulk = try Bulk(rules, [[one, one], [one, other], [other, one], [one, later]], at: 10)
        #expect(bulk.undecided == [1, 2])
        #expect(try bulk.members() == [[0, 1, 2], [0, 1]])
    }

    @Test("kinds of calls, with names and without, are told apart")
    func kinds() throws {
        let rules: [JSON] = [
            ["count": ["type": "page"]], ["count": ["type": "page", "event": "Home"]],
            ["count": ["event": "Home"]], ["count": ["event": "*"]],
            ["count": ["type": "identify"]], ["count": ["type": "screen", "event": ["Home", "Cart"]]],
        ]
        func call(_ kind: TrackingEvent.Kind, _ name: String? = nil) -> [TrackingEvent] {
            var call = event("", at: 1)
            (call.kind, call.name) = (kind, name)
            return [call]
        }
        let bulk = try Bulk(
            rules,
            [
                call(.page), call(.page, "Home"), call(.track, "Home"), call(.identify),
                call(.screen, "Cart"), [],
            ], at: 10)
        #expect(bulk.undecided == [])
        #expect(try bulk.members() == [[0, 1], [1], [2], [2], [3], [4]])
    }

    @Test("numbers, texts and ways to write them mean what they mean to the engine")
    func values() throws {
        let values: [JSON] = [
            5, .double(5), "5", "5.0", "caf\u{E9}", "cafe\u{301}", true, [5, "5", "x"], ["b": 5], .null,
            9_000_000_000_000, "9000000000000", .double(1e300), -9_000_000_000_000, "", .double(0.5),
        ]
        let histories =
            values.map { [event("A", at: 1, ["v": $0])] } + [
                values.enumerated().map { event("A", at: $0.offset, ["v": $0.element]) },
                (0..<3).map { event("A", at: $0, ["v": 9_000_000_000_000]) },
                values.reversed().enumerated().map { event("B", at: $0.offset, ["v": $0.element]) },
            ]
        let tests: [JSON] = [
            ["equals": 5], ["equals": "5"], ["notEquals": 5], ["in": ["5", true]], ["contains": "caf"],
            ["endsWith": "\u{E9}"], ["startsWith": "cafe"], ["exists": false], ["exists": true],
            ["atLeast": 5], ["lessThan": "5.5"], ["contains": 5],
            ["equals": "CAF\u{C9}", "ignoreCase": true],
        ]
        var rules: [JSON] = tests.map { test in
            let filter = (test.object ?? [:]).merging(["property": "v"]) { $1 }
            return ["count": ["event": "A", "where": [.object(filter)]]]
        }
        for bound: JSON in [5, "0.5", 9_000_000_000_000, -9_000_000_000_000, 0] {
            for range in ["atLeast", "atMost", "greaterThan", "lessThan", "exactly"] {
                for kind in ["sum", "average", "minimum", "maximum"] {
                    rules.append([kind: ["event": "*", "property": "v", range: bound]])
                }
            }
        }
        rules += (0..<8).map { ["distinct": ["event": "*", "property": "v", "exactly": .integer($0)]] }
        rules += (1..<4).map { ["count": ["event": "*", "sameValueOf": "v", "atLeast": .integer($0)]] }
        rules.append(["distinct": ["event": "*", "property": "v[]", "atLeast": 2]])
        let bulk = try Bulk(rules, histories, at: 100)
        #expect(bulk.decider.program.unsupported == [])
        #expect(try bulk.members() == bulk.engine())
    }

    @Test("rules about traits and other segments are decided by the engine, beside the others")
    func others() throws {
        let rules: [JSON] = [
            ["count": ["event": "A"]], ["segment": "s0"], ["trait": ["name": "plan", "equals": "pro"]],
            ["all": [["count": ["event": "A"]], ["not": ["trait": ["name": "plan", "exists": true]]]]],
            ["absent": ["event": "A", "within": "10ms"]],
        ]
        var identify = event("", at: 2)
        (identify.kind, identify.name, identify.traits) = (.identify, nil, ["plan": "pro"])
        let histories = [[event("A", at: 1)], [event("A", at: 1), identify], [identify], []]
        let bulk = try Bulk(rules, histories, at: 50)
        #expect(bulk.decider.program.unsupported == ["s1", "s2", "s3"])
        #expect(try bulk.members() == [[0, 1], [0, 1], [1, 2], [0], [0, 1, 2, 3]])
    }

    @Test("what the columns were not made for is decided by the engine")
    func missingColumns() throws {
        let rule: JSON = ["count": ["event": "A", "where": [["property": "v", "equals": 1]]]]
        let bulk = try Bulk([rule], [[event("A", at: 1, ["v": 1])], [event("A", at: 1)]], at: 5, paths: [])
        #expect(bulk.decider.program.unsupported == ["s0"])
        #expect(try bulk.members() == [[0]])
    }

    @Test("what happens after the instant does not count, and came at its arrival if a clock was ahead")
    func later() throws {
        var ahead = event("A", at: 100)
        ahead.receivedAt = Instant(milliseconds: 10)
        let rules: [JSON] = [
            ["count": ["event": "A", "exactly": 1]], ["first": ["event": "A", "within": "1ms"]],
        ]
        let bulk = try Bulk(rules, [[event("A", at: 11)], [ahead], [ahead, event("A", at: 11)]], at: 10)
        #expect(try bulk.members() == [[1, 2], [1, 2]])
    }

    @Test("parts hold each profile once, whatever their number")
    func parts() throws {
        // More than fit into one block, in profiles and in events.
        let histories = (0..<600).map { profile in
            (0..<(profile % 7 == 0 ? 40 : profile % 3)).map {
                event("A", at: $0, id: "\(profile).\($0)", ["v": .integer(Int64($0 * profile % 90))])
            }
        }
        let rules: [JSON] = [
            ["count": ["event": "A", "atLeast": 2]], ["absent": ["event": "A"]],
            ["distinct": ["event": "A", "property": "v", "atLeast": 30]],
            ["count": ["event": "A", "sameValueOf": "v", "atLeast": 2]],
            ["sum": ["event": "A", "property": "v", "atLeast": 40]],
            ["sequence": ["steps": [["event": "A", "atLeast": 30], ["event": "A"]]]],
        ]
        let bulk = try Bulk(rules, histories, at: 100)
        let whole = try bulk.members()
        #expect(whole.allSatisfy { !$0.isEmpty })
        for count in [1, 2, 3, 49, 600, 2_000] {
            let parts = bulk.columns.parts(count)
            #expect(parts.count == count)
            #expect(Array(parts.joined()) == Array(0..<600))
            let members = parts.map { bulk.decider.members(in: $0) { histories[$0] } }
            #expect(rules.indices.map { rule in members.flatMap { $0[rule] } } == whole)
        }
        #expect(EventColumnsBuilder(for: []).build().parts(3).allSatisfy { $0.isEmpty })
        #expect(try Bulk([], histories, at: 100).members() == [])
    }

    private func event(_ name: String, at: Int, id: String? = nil, _ properties: [String: JSON] = [:])
        -> TrackingEvent
    {
        let at = Instant(milliseconds: Int64(at))
        return TrackingEvent(
            messageID: id ?? "\(name)\(at.milliseconds)", kind: .track, name: name, timestamp: at,
            receivedAt: at + .seconds(1), sourceID: RandomHistory.source, properties: properties)
    }
}

/// Rules `s0`, `s1`, … over histories, decided in bulk and by the engine.
private struct Bulk {
    let histories: [[TrackingEvent]]
    let definitions: [SegmentDefinition]
    let columns: EventColumns
    let decider: BulkDecider

    init(_ rules: [JSON], _ histories: [[TrackingEvent]], at now: Int64, paths: [PropertyPath]? = nil) throws
    {
        self.histories = histories
        definitions = try rules.enumerated().map {
            SegmentDefinition(id: "s\($0.offset)", version: 1, condition: try RuleReader.read($0.element))
        }
        var builder = paths.map { EventColumnsBuilder(paths: $0) } ?? EventColumnsBuilder(for: definitions)
        for (profile, events) in histories.enumerated() {
            for event in events { builder.append(event, of: profile) }
        }
        columns = builder.build(profiles: histories.count)
        decider = BulkDecider(definitions, over: columns, at: Instant(milliseconds: now))
    }

    var undecided: [Int] { decider.program.decide(columns.profileRange).undecided }

    /// In bulk, after a comparison with the engine.
    func members() throws -> [[UInt32]] {
        let members = decider.members(in: columns.profileRange) { histories[$0] }
        #expect(members == engine())
        return members
    }

    func engine() -> [[UInt32]] {
        let engine = SegmentDecider(SegmentSet(revision: 1, segments: definitions))
        let states = histories.map { events in
            var state = ProfileState(revision: 0)
            let now = decider.program.instant
            _ = engine.refresh(
                &state, with: events.filter { SegmentDecider.instant(of: $0) <= now }, now: now,
                of: ProfileID(UUIDv7.derived(at: now, from: "profile")))
            return state
        }
        return definitions.map { definition in
            states.indices.filter { states[$0].segments[definition.id]?.isMember ?? false }.map { UInt32($0) }
        }
    }
}
