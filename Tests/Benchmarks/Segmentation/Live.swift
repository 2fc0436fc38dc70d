import Models
import SegmentationDomain

/// Row 2: what one event costs beside the parsing of its JSON, with the states of all profiles in memory.
enum Live {
    /// So many segments: 40 about what people do in the shop, the rest about other events, four to each name.
    static func set(of count: Int) throws -> SegmentSet {
        let shop: [@Sendable (Int) -> JSON] = [
            { ["count": ["event": "Product Viewed", "within": .string("\($0 + 1)d"), "atLeast": 4]] },
            { ["count": ["event": "Order Completed", "atLeast": .integer(Int64($0 + 1))]] },
            {
                [
                    "sum": [
                        "event": "Order Completed", "property": "total", "within": "30d",
                        "atLeast": .integer(Int64($0) * 50 + 100),
                    ]
                ]
            },
            {
                [
                    "all": [
                        ["count": ["event": "Order Completed"]],
                        ["absent": ["event": "Order Completed", "within": .string("\($0 * 5 + 10)d")]],
                    ]
                ]
            },
            {
                [
                    "all": [
                        ["count": ["event": "Checkout Started", "within": .string("\($0 + 1)d")]],
                        ["absent": ["event": "Order Completed", "within": .string("\($0 + 1)d")]],
                    ]
                ]
            },
            {
                [
                    "count": [
                        "event": "Product Added", "within": .string("\($0 + 1)d"), "atLeast": 2,
                        "where": [["property": "category", "equals": $0 % 2 == 0 ? "Shoes" : "Hats"]],
                    ]
                ]
            },
            { ["count": ["event": "Email Opened", "within": .string("\($0 + 1)d"), "atLeast": 2]] },
            { ["last": ["event": "Order Completed", "within": .string("\($0 + 7)d")]] },
        ]
        let definitions = try (0..<count).map { number in
            let rule: JSON =
                number < 40
                ? shop[number % shop.count](number / shop.count)
                : [
                    "count": [
                        "event": .string("Campaign \((number - 40) / 4) Seen"),
                        "within": .string("\(number % 4 + 1)d"), "atLeast": 2,
                    ]
                ]
            return SegmentDefinition(
                id: "segment-\(number)", version: 1, condition: try RuleReader.read(rule))
        }
        return SegmentSet(revision: 1, segments: definitions)
    }

    /// What the profiles do, in the order of time: a tenth about the other events, of 40 campaigns.
    static func events(_ count: Int, profiles: Int, seed: UInt64) -> [(profile: Int, json: String)] {
        var random = SeededGenerator(seed: seed)
        let step = ShopEvent.days * 86_400_000 / Int64(count)
        return (0..<count).map { number in
            let profile = random.below(profiles)
            let at = ShopEvent.now.milliseconds - Int64(count - number) * step
            var event = ShopEvent.random(by: profile, at: at, &random)
            if random.below(10) == 0 {
                event.name = "Campaign \(random.below(40)) Seen"
                event.total = nil
            }
            return (profile, full(event.tracking(number), profile).json.compact)
        }
    }

    /// With as much around it as an event of a browser has.
    private static func full(_ event: TrackingEvent, _ profile: Int) -> TrackingEvent {
        var event = event
        event.anonymousID = ShopEvent.profileID(profile).description
        event.context = [
            "library": ["name": "analytics.js", "version": "2.1.0"],
            "page": ["path": "/products/a", "title": "A product", "url": "https://shop.example/products/a"],
            "locale": "en-GB", "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0",
        ]
        return event
    }

    /// Nanoseconds per event: of parsing, and of deciding; after the states have been filled by the first half.
    static func run(segments: Int, events count: Int, profiles: Int) throws -> JSON {
        let decider = SegmentDecider(try set(of: segments))
        let events = events(count, profiles: profiles, seed: 7)
        let ids = (0..<profiles).map(ShopEvent.profileID)
        var states = Array(repeating: decider.newState(), count: profiles)
        let clock = ContinuousClock()
        var parsing = Duration.zero
        var deciding = Duration.zero
        var changes = 0
        var touched = 0
        // In groups, so that reading the clock costs nothing and both meet the same machine.
        for start in stride(from: 0, to: count, by: 1_000) {
            let group = events[start..<min(count, start + 1_000)]
            var parsed: [TrackingEvent] = []
            parsed.reserveCapacity(group.count)
            let parse = try clock.measure {
                for event in group {
                    parsed.append(try TrackingEvent(json: try JSONParser.parse(event.json)))
                }
            }
            var found = 0
            let decide = clock.measure {
                for (event, place) in zip(parsed, group) {
                    found += decider.apply(event, to: &states[place.profile], of: ids[place.profile]).count
                }
            }
            guard start >= count / 2 else { continue }
            parsing += parse
            deciding += decide
            changes += found
            for event in parsed {
                touched += decider.set.segments(touchedBy: event)
            }
        }
        let measured = Double(count - count / 2)
        func each(_ duration: Duration) -> JSON { .double(duration / .nanoseconds(1) / measured) }
        return [
            "segments": .integer(Int64(segments)), "parse": each(parsing), "decide": each(deciding),
            "changes": .double(Double(changes) / measured), "touched": .double(Double(touched) / measured),
        ]
    }
}
