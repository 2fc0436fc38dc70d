import Foundation
import Models

/// Rules whose answer rests on hundreds of events, and histories of as many, with the bounds where they are crossed.
enum LongRules {
    static func rules(_ random: inout SeededGenerator) -> [JSON] {
        func windowed(_ members: [String: JSON], _ random: inout SeededGenerator) -> JSON {
            var members = members
            if random.chance(70) { members["within"] = .string("\(40 + random.below(200))h") }
            return .object(members)
        }
        func number(_ low: Int, _ high: Int, _ random: inout SeededGenerator) -> JSON {
            .integer(Int64(low + random.below(high - low)))
        }
        let named: JSON = ["event": "A"]
        return [
            ["count": windowed(["event": "A", "atLeast": number(101, 220, &random)], &random)],
            ["count": windowed(["event": "*", "exactly": number(101, 220, &random)], &random)],
            [
                "count": windowed(
                    ["event": "*", "sameValueOf": "colour", "atLeast": number(101, 140, &random)], &random)
            ],
            [
                "count": windowed(
                    [
                        "event": "A", "atLeast": number(20, 150, &random),
                        "where": [["property": "due", "withinNext": "30d"]],
                    ], &random)
            ],
            [
                "sum": windowed(
                    ["event": "A", "property": "price", "atLeast": number(150, 600, &random)], &random)
            ],
            [
                "sum": windowed(
                    ["event": "*", "property": "price", "atMost": number(150, 600, &random)], &random)
            ],
            ["average": windowed(["event": "*", "property": "price", "greaterThan": "2.5"], &random)],
            ["average": windowed(["event": "A", "property": "products[].price", "atLeast": 2.5], &random)],
            [
                "ratio": windowed(
                    [
                        "of": named, "to": ["event": ["A", "B"]], "greaterThan": 0.5,
                        "toAtLeast": number(90, 200, &random),
                    ], &random)
            ],
            [
                "unanswered": windowed(
                    ["event": "A", "by": ["event": "C"], "for": .string("\(1 + random.below(30))h")], &random)
            ],
            [
                "sequence": windowed(
                    [
                        "steps": [
                            ["event": "A", "atLeast": 100, "in": .string("\(60 + random.below(200))h")],
                            ["event": "B", "within": "3h"], ["event": "A"],
                            ["not": ["event": "C"], "within": "2h"],
                        ]
                    ], &random)
            ],
            ["score": ["id": "engagement", "atLeast": number(3, 60, &random)]],
            ["not": ["score": ["id": "engagement", "lessThan": .double(0.37 + Double(random.below(30)))]]],
        ]
    }

    static func history(_ random: inout SeededGenerator) -> [TrackingEvent] {
        var at = Instant(milliseconds: 1_700_000_000_000)
        return (0..<(300 + random.below(200))).map { number in
            at = at + .milliseconds(random.pick([0, 1, 600_000, 1_800_000, 3_600_000, 3_600_000]))
            let time = random.chance(10) ? at - .hours(random.below(30)) : at
            var event = TrackingEvent(
                messageID: "m\(number)", kind: .track,
                name: random.chance(2) ? "C" : random.pick(["A", "A", "B"]), timestamp: time,
                receivedAt: time, sourceID: RandomHistory.source,
                properties: [
                    "price": .integer(Int64(random.below(6))), "colour": random.pick(["red", "blue"]),
                    "due": .string((time + .days(random.below(60))).rfc3339),
                    "products": .array(
                        (0..<random.below(3)).map { _ in ["price": .integer(Int64(random.below(6)))] }),
                ])
            event.position = TimelinePosition(shard: Shard(hashing: "m"), offset: Int64(number) + 1)
            return event
        }
    }
}

/// The power, by the C library.
func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
