import Models

extension SeededGenerator {
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// Random rules over a small vocabulary, so that conditions meet the events often.
struct RandomRules {
    var generator: SeededGenerator

    mutating func rule(depth: Int = 3) -> JSON {
        if depth > 1, generator.chance(45) {
            let parts = JSON.array((0..<(1 + generator.below(3))).map { _ in rule(depth: depth - 1) })
            switch generator.below(3) {
            case 0: return ["all": parts]
            case 1: return ["any": parts]
            default: return ["not": rule(depth: depth - 1)]
            }
        }
        switch generator.below(6) {
        case 0, 1: return ["count": .object(count())]
        case 2: return ["absent": .object(windowed(selector()))]
        case 3: return ["sum": .object(sum())]
        case 4: return ["unanswered": .object(unanswered())]
        default: return ["trait": .object(trait())]
        }
    }

    private mutating func selector() -> [String: JSON] {
        var members: [String: JSON] = [
            "event": generator.pick(["A", "B", "C", "*", ["A", "B"], ["B", "C"]] as [JSON])
        ]
        switch generator.below(6) {
        case 0: members["where"] = [["property": "colour", "equals": generator.pick(["red", "blue"])]]
        case 1: members["where"] = [["property": "price", "atLeast": .integer(Int64(generator.below(5)))]]
        case 2: members["where"] = [["property": "products[].sku", "equals": "s1"]]
        case 3: members["where"] = [["property": "a.b", "exists": .bool(generator.chance(50))]]
        default: break
        }
        return members
    }

    private mutating func windowed(_ members: [String: JSON]) -> [String: JSON] {
        var members = members
        if generator.chance(80) { members["within"] = .string(window()) }
        return members
    }

    private mutating func window() -> String {
        generator.pick(["1ms", "2ms", "5ms", "40ms", "100ms", "250ms", "1s", "3s"])
    }

    private mutating func count() -> [String: JSON] {
        var members = windowed(selector())
        let times = Int64(generator.below(4))
        switch generator.below(6) {
        case 0: members["atMost"] = .integer(times)
        case 1: members["exactly"] = .integer(times)
        case 2: members["between"] = [.integer(times), .integer(times + Int64(generator.below(3)))]
        case 3:
            members["sameValueOf"] = "colour"
            members["atLeast"] = .integer(times + 1)
        default: members["atLeast"] = .integer(times)
        }
        return members
    }

    private mutating func sum() -> [String: JSON] {
        var members = windowed(selector())
        members["property"] = "price"
        members[generator.pick(["atLeast", "atMost", "greaterThan", "lessThan"])] =
            .integer(Int64(generator.below(12) - 2))
        return members
    }

    private mutating func unanswered() -> [String: JSON] {
        var members = selector()
        members["by"] = .object(selector())
        members["for"] = .string(generator.pick(["1ms", "3ms", "20ms", "100ms"]))
        if generator.chance(60) { members["within"] = .string(generator.pick(["150ms", "300ms", "1s"])) }
        return members
    }

    private mutating func trait() -> [String: JSON] {
        let name = generator.pick(["plan", "visits"])
        switch generator.below(5) {
        case 0: return ["name": .string(name), "equals": generator.pick(["pro", "free", 2] as [JSON])]
        case 1: return ["name": .string(name), "exists": .bool(generator.chance(50))]
        case 2: return ["name": .string(name), "in": ["pro", 1, 2]]
        case 3: return ["name": .string(name), "contains": generator.pick(["pro", "free", 1] as [JSON])]
        default: return ["name": .string(name), "greaterThan": .integer(Int64(generator.below(4)))]
        }
    }
}

/// Random events of one person, in the order of their arrival: mostly in the order of time, some late, some twice.
struct RandomHistory {
    var generator: SeededGenerator
    private var clock: Int64 = 1_000
    private var count = 0

    private let name: String
    /// What the identity policy says of the traits.
    private let rules: [String: TraitRule]

    /// `name` tells the message ids of two histories apart; of histories that may come together the rules are the same.
    init(generator: SeededGenerator, name: String, rules: [String: TraitRule]) {
        self.generator = generator
        self.name = name
        self.rules = rules
    }

    static let rules: [[String: TraitRule]] = [
        [:], [:], ["plan": .first], ["plan": .union, "visits": .maximum], ["visits": .priority(rank: 1)],
    ]

    /// The next event to arrive, given those that have.
    mutating func next(after known: [TrackingEvent]) -> TrackingEvent {
        if !known.isEmpty, generator.chance(10) { return generator.pick(known) }
        clock += Int64(generator.pick([0, 1, 1, 2, 5, 20, 60, 250, 900]))
        count += 1
        let late = generator.chance(20) ? Int64(generator.below(1_500)) : 0
        let time = Instant(milliseconds: clock - late)
        // A sender's clock that is ahead: then the arrival is what counts.
        let claimed = generator.chance(5) ? time + .milliseconds(700) : time
        let received = claimed == time ? time + .seconds(60) : time
        let id = "\(name).\(count)-\(generator.below(1_000))"
        if generator.chance(20) {
            let traits: [String: JSON] = [
                generator.pick(["plan", "visits"]): generator.pick(["pro", "free", 1, 2, 3, .null])
            ]
            var event = TrackingEvent(
                messageID: id, kind: .identify, timestamp: claimed, receivedAt: received,
                sourceID: Self.source,
                traits: traits)
            for name in traits.keys { event.traitRules[name] = rules[name] }
            return event
        }
        return TrackingEvent(
            messageID: id, kind: .track, name: generator.pick(["A", "B", "C"]), timestamp: claimed,
            receivedAt: received, sourceID: Self.source, properties: properties())
    }

    private mutating func properties() -> [String: JSON] {
        var properties: [String: JSON] = [:]
        if generator.chance(60) { properties["colour"] = generator.pick(["red", "blue", "green"]) }
        switch generator.below(4) {
        case 0: properties["price"] = .integer(Int64(generator.below(6)))
        case 1: properties["price"] = .double(Double(generator.below(10)) / 2)
        case 2: properties["price"] = .integer(-2)
        default: break
        }
        if generator.chance(30) {
            properties["products"] = .array((0..<generator.below(3)).map { ["sku": .string("s\($0)")] })
        }
        if generator.chance(20) { properties["a"] = ["b": 1] }
        return properties
    }

    static let source = SourceID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "source"))
}
