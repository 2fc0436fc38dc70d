import Models
import SegmentationDomain

extension SeededGenerator {
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// Random rules over a small vocabulary, so that conditions meet the events often.
struct RandomRules {
    var generator: SeededGenerator
    var scale = RandomScale.milliseconds
    /// The segments that may be referred to.
    var segments: [String] = []
    /// The scores that may be looked at.
    var scores: [String] = []
    /// The stages that may be looked at.
    var stages: [String] = []
    /// Whether rules may name models of a population and computed traits, which a service has to have.
    var namesDefinitions = true
    /// Whether the editions are written into them.
    var hasEditions = true
    /// Whether filters may not compare with the present.
    private var isStatic = false

    init(generator: SeededGenerator, scale: RandomScale = .milliseconds) {
        self.generator = generator
        self.scale = scale
    }

    /// A rule as it is stored: sometimes with what the consent policy asks for it.
    mutating func stored() -> JSON {
        let rule = rule()
        guard generator.chance(30) else { return rule }
        let needs = (0..<(1 + generator.below(2))).map { _ in need() }
        return ["permitted": ["rule": rule, "needs": .array(needs)]]
    }

    private mutating func need() -> JSON {
        var members: [String: JSON] = [
            "purpose": generator.pick(["news", "ads"]),
            "basis": generator.pick(["consent", "consent", "legitimateInterest", "contract"]),
        ]
        if members["basis"] == "consent", generator.chance(60) {
            members["lasts"] =
                scale.unit == 1
                ? generator.pick(["PT1S", "PT2S"]) : generator.pick(["PT36H", "P5D", "P1M", "P1M1D"])
        }
        if generator.chance(30) {
            members["in"] = generator.pick([["EU"], ["FR"], ["US"], ["US-CA", "DE"]])
        }
        if generator.chance(5) { members["basis"] = nil }
        return .object(members)
    }

    mutating func rule(depth: Int = 3) -> JSON {
        if !segments.isEmpty, generator.chance(25) { return ["segment": .string(generator.pick(segments))] }
        if !stages.isEmpty, generator.chance(25) { return ["stage": .string(generator.pick(stages))] }
        if !scores.isEmpty, generator.chance(25) { return ["score": scoreCondition()] }
        if namesDefinitions, generator.chance(12) {
            return generator.chance(60) ? ["rfm": .object(rfm())] : ["percentile": .object(percentile())]
        }
        if depth > 1, generator.chance(45) {
            let parts = JSON.array((0..<(1 + generator.below(3))).map { _ in rule(depth: depth - 1) })
            switch generator.below(3) {
            case 0: return ["all": parts]
            case 1: return ["any": parts]
            default: return ["not": rule(depth: depth - 1)]
            }
        }
        switch generator.below(namesDefinitions ? 17 : 15) {
        case 15, 16: return ["computedTrait": .object(computedTrait())]
        case 0, 1: return ["count": .object(count())]
        case 6: return [generator.pick(["first", "last"]): .object(oneTime())]
        case 7: return [generator.pick(["average", "minimum", "maximum"]): .object(sum())]
        case 9, 10: return ["sequence": .object(sequence())]
        case 12:
            if generator.chance(50) { return attribute() }
            return generator.chance(50) ? ["age": .object(age())] : ["identifier": ["type": identifier()]]
        case 13:
            if generator.chance(20) { return ["context": relative("trial.ends")] }
            let key = generator.pick(["equals", "notEquals", "startsWith"])
            return ["context": ["property": "location.country", key: generator.pick(["DE", "D", "FR"])]]
        case 11: return ["ratio": .object(ratio())]
        case 8: return ["distinct": .object(distinct())]
        case 2: return ["absent": .object(windowed(selector()))]
        case 3: return ["sum": .object(sum())]
        case 4: return ["unanswered": .object(unanswered())]
        default: return ["trait": .object(trait())]
        }
    }

    /// Members that say which events are meant.
    mutating func selector(isStatic: Bool = false) -> [String: JSON] {
        self.isStatic = isStatic
        var members: [String: JSON] = [
            "event": generator.pick(["A", "B", "C", "*", ["A", "B"], ["B", "C"]] as [JSON])
        ]
        if generator.chance(60) {
            members["where"] = .array(
                (0..<(1 + generator.below(generator.chance(30) ? 3 : 1))).map { _ in
                    generator.chance(75) || isStatic ? plainFilter() : timedFilter()
                })
        }
        return members
    }

    private mutating func plainFilter() -> JSON {
        switch generator.below(9) {
        case 0: return ["property": "colour", "equals": generator.pick(["red", "blue"])]
        case 1: return ["property": "price", "atLeast": .integer(Int64(generator.below(5)))]
        case 2: return ["property": "products[].sku", "equals": "s1"]
        case 3: return ["property": "a.b", "exists": .bool(generator.chance(50))]
        case 4:
            var filter: [String: JSON] = ["property": "title"]
            filter[generator.pick(["startsWith", "endsWith", "contains", "equals", "notEquals"])] =
                generator.pick(["red", "Red", "shoe", "Red Shoe"])
            if generator.chance(50) { filter["ignoreCase"] = .bool(generator.chance(80)) }
            return .object(filter)
        case 5: return ["property": "colour", "notIn": ["red", "green"]]
        case 6: return ["property": "title", "in": ["red shoe", "RED HAT"], "ignoreCase": true]
        case 7: return ["property": "price", "lessThan": "2.5"]
        default:
            return [
                "any": "products[]",
                "where": [
                    ["property": "sku", "equals": generator.pick(["s0", "s1"])],
                    isStatic || generator.chance(60)
                        ? ["property": "price", "greaterThan": .integer(Int64(generator.below(4)))]
                        : relative("ends"),
                ],
            ]
        }
    }

    private mutating func timedFilter() -> JSON { relative(generator.pick(["due", "products[].ends"])) }

    private mutating func relative(_ property: String) -> JSON {
        let key = generator.pick(["withinLast", "withinNext", "moreThanAgo", "moreThanAhead"])
        return ["property": .string(property), key: duration([1, 40, 250, 1_000])]
    }

    /// The same with a window.
    mutating func windowed(_ members: [String: JSON]) -> [String: JSON] {
        var members = members
        switch generator.below(100) {
        case ..<(scale.isCalendar ? 30 : 70):
            members["within"] = duration([1, 2, 5, 40, 100, 250, 1_000, 3_000])
        case ..<(scale.isCalendar ? 70 : 75):
            members["within"] = ["days": generator.pick([1, 2, 3, 7, 31]), "zone": zone()]
        case ..<85: members["since"] = since()
        default: break
        }
        return members
    }

    /// One of these lengths of time, in units of the scale.
    private mutating func duration(_ counts: [Int64]) -> JSON {
        .string(Duration.milliseconds(generator.pick(counts) * scale.unit).text)
    }

    private mutating func zone() -> JSON { .string(generator.pick(scale.zones)) }

    private mutating func since() -> JSON {
        let instant = Instant(milliseconds: scale.start + Int64(generator.below(1_500)) * scale.unit)
        guard generator.chance(40) else { return .string(instant.rfc3339) }
        return ["date": .string(String(instant.rfc3339.prefix(10))), "zone": zone()]
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
        members["property"] = generator.pick(["price", "price", "products[].price"])
        let value = Int64(generator.below(12) - 2)
        if generator.chance(15) {
            members["between"] = [.integer(value), .double(Double(value) + 2.5)]
        } else {
            members[generator.pick(["atLeast", "atMost", "greaterThan", "lessThan", "exactly"])] = .integer(
                value)
        }
        return members
    }

    private mutating func distinct() -> [String: JSON] {
        var members = windowed(selector())
        members["property"] = generator.pick(["colour", "products[].sku", "price"])
        let times = Int64(generator.below(3))
        switch generator.below(4) {
        case 0: members["atMost"] = .integer(times)
        case 1: members["exactly"] = .integer(times)
        case 2: members["between"] = [.integer(times), .integer(times + 1)]
        default: members["atLeast"] = .integer(times + 1)
        }
        return members
    }

    /// With numbers that no sum of weights is, whatever is left of it after whole half-lives.
    mutating func scoreCondition() -> JSON {
        var members: [String: JSON] = ["id": .string(generator.pick(scores))]
        let value = Double(generator.pick([-263, -63, 37, 137, 237, 437, 837])) / 100
        if generator.chance(15) {
            members["between"] = [.double(value), .double(value + 1.25)]
        } else {
            members[generator.pick(["atLeast", "atMost", "greaterThan", "lessThan", "exactly"])] = .double(
                value)
        }
        return .object(members)
    }

    /// How a score is made up.
    mutating func scoring() -> JSON {
        let events = (0..<(1 + generator.below(3))).map { _ -> JSON in
            var members = selector(isStatic: true)
            members["weight"] = generator.pick([1, 2, 5, 0.5, -1, -3])
            if generator.chance(25) { members["perDay"] = generator.pick([1, 2]) }
            if generator.chance(30) { members["cap"] = generator.pick([2, 5, "2.5"]) }
            return .object(members)
        }
        var members: [String: JSON] = ["events": .array(events)]
        if generator.chance(85) { members["halfLife"] = duration([3, 20, 100, 1_000]) }
        if generator.chance(25) { members["maximum"] = generator.pick([3, 5, "1.5"]) }
        if generator.chance(50) { members["zone"] = zone() }
        return .object(members)
    }

    private mutating func sequence() -> [String: JSON] {
        var first = selector()
        if generator.chance(30) {
            first["atLeast"] = .integer(Int64(2 + generator.below(2)))
            if generator.chance(70) { first["in"] = duration([5, 40, 250, 1_000]) }
        }
        var steps: [JSON] = [.object(first)]
        let endsWithout = generator.chance(50)
        for _ in 0..<(endsWithout ? generator.below(3) : 1 + generator.below(3)) {
            var step = selector()
            if generator.chance(60) { step["within"] = duration([1, 5, 40, 250, 1_000]) }
            if generator.chance(35) { step["without"] = .object(selector()) }
            steps.append(.object(step))
        }
        if endsWithout { steps.append(["not": .object(selector()), "within": duration([1, 3, 20, 100])]) }
        var members: [String: JSON] = ["steps": .array(steps)]
        if generator.chance(50) { members["within"] = duration([250, 1_000, 3_000]) }
        if members["within"] == nil, generator.chance(20) { members["since"] = since() }
        return members
    }

    private mutating func ratio() -> [String: JSON] {
        var members = windowed(["of": .object(selector()), "to": .object(selector())])
        members[generator.pick(["atLeast", "atMost", "greaterThan", "lessThan", "exactly"])] =
            generator.pick([0, 0.25, 0.5, 1, 1.5, 2] as [JSON])
        if generator.chance(50) { members["toAtLeast"] = .integer(Int64(generator.below(4))) }
        return members
    }

    /// By an edition as it is written into rules, of no population that there is.
    mutating func rfm() -> [String: JSON] {
        var members: [String: JSON] = ["model": generator.pick(["default", "is", "2nd"])]
        if generator.chance(50) {
            members["segment"] = .string(generator.pick(PlainOracle.grid.flatMap { $0 }))
        } else {
            for key in ["recency", "frequency", "monetary"] where members.count == 1 || generator.chance(40) {
                let score = Int64(1 + generator.below(5))
                switch generator.below(4) {
                case 0: members[key] = ["atMost": .integer(score)]
                case 1: members[key] = ["exactly": .integer(score)]
                case 2: members[key] = ["between": [.integer(score), .integer(min(5, score + 1))]]
                default: members[key] = ["atLeast": .integer(score)]
                }
            }
        }
        guard hasEditions else { return members }
        var orders = windowed(selector(isStatic: true))
        orders["property"] = generator.pick(["price", "products[].price"])
        // Else there is a window by default, which is not this one.
        if orders["within"] == nil, orders["since"] == nil { orders["since"] = "1970-01-01T00:00:00Z" }
        func four<Value: Comparable>(_ values: [Value], _ generator: inout SeededGenerator) -> [Value] {
            (0..<4).map { _ in generator.pick(values) }.sorted()
        }
        let recency = four([0, 1, 5, 20, 100, 250, 1_000, 3_000] as [Int64], &generator).reversed().map {
            JSON.string(Duration.milliseconds($0 * scale.unit).text)
        }
        members["edition"] = [
            "number": 3, "at": "2026-01-01T00:00:00.000Z", "people": 7, "orders": .object(orders),
            "recency": .array(Array(recency)),
            "frequency": .array(four([0, 1, 2, 3], &generator).map { .integer(Int64($0)) }),
            "monetary": .array(four([-2, 0, 1.5, 3, 8], &generator).map { .string("\($0)") }),
        ]
        return members
    }

    /// By an edition of no population that there is, whose thresholds are few and stand there many times.
    mutating func percentile() -> [String: JSON] {
        var members: [String: JSON] = ["model": generator.pick(["default", "is", "2nd"])]
        let percent = Int64(1 + generator.below(98))
        switch generator.below(4) {
        case 0: members["atMost"] = .integer(percent)
        case 1: members["exactly"] = .integer(percent)
        case 2: members["between"] = [.integer(percent), .integer(min(98, percent + 40))]
        default: members["atLeast"] = .integer(percent)
        }
        guard hasEditions else { return members }
        let kind = generator.pick(
            ["count", "sum", "minimum", "maximum", "daysSinceLast"] + (scores.isEmpty ? [] : ["score"]))
        var measure = windowed(selector(isStatic: true))
        if ["sum", "minimum", "maximum"].contains(kind) {
            measure["property"] = generator.pick(["price", "products[].price"])
        }
        let (from, to) = (1 + generator.below(60), 40 + generator.below(59))
        let thresholds = (1...99).map { place -> JSON in
            let step = place < min(from, to) ? 0 : place < max(from, to) ? 1 : 2
            switch kind {
            case "count": return .integer(Int64([0, 1, 3][step]))
            case "daysSinceLast":
                return .string(Duration.milliseconds(Int64([5, 100, 900][step]) * scale.unit).text)
            // A score never comes to nothing, which the engine has it do at last.
            case "score": return .string(["-1.5", "0.375", "2.25"][step])
            default: return .string(["-1.5", "0", "2.25"][step])
            }
        }
        members["edition"] = [
            "number": 2, "at": "2026-01-01T00:00:00.000Z", "people": 7,
            "measure": .object([
                kind: kind == "score" ? .string(generator.pick(scores)) : .object(measure)
            ]),
            "thresholds": .array(thresholds),
        ]
        return members
    }

    /// With the definition that is written into the rule, whatever the trait is called.
    private mutating func computedTrait() -> [String: JSON] {
        let kind = generator.pick(ComputedTrait.Kind.allCases.filter { $0 != .rfm })
        var members: [String: JSON] = ["id": generator.pick(["orders", "is", "2nd"])]
        var definition = windowed(selector())
        switch kind {
        case .first, .last, .mostFrequent:
            definition["property"] = generator.pick(["colour", "colour", "price"])
            switch generator.below(5) {
            case 0: members["exists"] = .bool(generator.chance(50))
            case 1: members["notEquals"] = "red"
            case 2: members["in"] = ["red", "green", 2]
            case 3: members["atLeast"] = .integer(Int64(generator.below(4)))
            default: members["equals"] = generator.pick(["red", "blue", 1, 3])
            }
        case .firstTime, .lastTime:
            switch generator.below(4) {
            case 0: members["exists"] = .bool(generator.chance(50))
            case 1:
                members["atLeast"] = .string(
                    Instant(milliseconds: scale.start + Int64(generator.below(1_500)) * scale.unit).rfc3339)
            default:
                members[generator.pick(["withinLast", "withinNext", "moreThanAgo"])] = duration([1, 40, 250])
            }
        default:
            if kind == .distinct {
                definition["property"] = generator.pick(["colour", "products[].sku", "price"])
            } else if kind != .count, kind != .daysSinceFirst, kind != .daysSinceLast {
                definition["property"] = generator.pick(["price", "price", "products[].price"])
            } else if kind != .count, generator.chance(50) {
                definition["zone"] = zone()
            }
            let value = generator.pick([0, 1, 2, 3, 1.5, 2.5, 8] as [JSON])
            switch generator.below(8) {
            case 0: members["exists"] = .bool(generator.chance(50))
            case 1: members["in"] = [value, 2]
            default:
                members[
                    generator.pick(
                        ["atLeast", "atMost", "greaterThan", "lessThan", "equals", "notEquals"])] = value
            }
        }
        if hasEditions { members["definition"] = [kind.rawValue: .object(definition)] }
        return members
    }

    private mutating func identifier() -> JSON {
        generator.pick(["userId", "email", "crm:contact", "deviceId"])
    }

    private mutating func age() -> [String: JSON] {
        var members: [String: JSON] = ["trait": "birthday", "zone": zone()]
        let years = Int64(generator.below(3))
        switch generator.below(4) {
        case 0: members["atMost"] = .integer(years)
        case 1: members["exactly"] = .integer(years)
        case 2: members["between"] = [.integer(years), .integer(years + 1)]
        default: members["atLeast"] = .integer(years)
        }
        return members
    }

    private mutating func attribute() -> JSON {
        switch generator.below(3) {
        case 0:
            return [
                "consent": [
                    "purpose": generator.pick(["news", "ads"]),
                    "is": generator.pick(["granted", "withdrawn", "unknown"]),
                ]
            ]
        case 1:
            switch generator.below(4) {
            case 0: return ["account": ["name": "plan", "notEquals": "pro"]]
            case 1: return ["account": ["name": "seats", "greaterThan": .integer(Int64(generator.below(4)))]]
            case 2: return ["account": ["name": "plan", "exists": .bool(generator.chance(50))]]
            default: return ["account": ["name": "plan", "equals": generator.pick(["pro", "free"])]]
            }
        default:
            var members: [String: JSON] = ["zone": zone()]
            let days = Int64(generator.below(4))
            let times: JSON = generator.pick([
                ["atLeast": .integer(days)], ["atMost": .integer(days)], ["exactly": .integer(days)],
                ["between": [.integer(days), .integer(days + 200)]],
            ])
            members["trait"] = generator.pick(["birthday", "due"])
            if generator.chance(40) {
                members["yearly"] = true
                if generator.chance(60) { members["ahead"] = times }
            } else if generator.chance(70) {
                members[generator.pick(["ahead", "ago"])] = times
            }
            return ["date": .object(members)]
        }
    }

    private mutating func oneTime() -> [String: JSON] {
        var members = selector(isStatic: true)
        switch generator.below(6) {
        case 0: members["within"] = duration([5, 100, 250, 1_000])
        case 1: members["since"] = since()
        case 2: members["before"] = since()
        case 3: members["ago"] = ["between": [duration([1, 20, 100]), duration([250, 1_000])]]
        case 4: members["ago"] = [generator.pick(["atLeast", "lessThan"]): duration([1, 40, 250, 1_000])]
        default:
            let days = Int64(generator.below(4))
            members["daysAgo"] = .object(
                [
                    "zone": zone(),
                    generator.pick(["atLeast", "atMost", "exactly", "between"]): .integer(days),
                ].mapValues { $0 })
            if members["daysAgo"]?["between"] != nil {
                members["daysAgo"] = ["zone": zone(), "between": [.integer(days), .integer(days + 2)]]
            }
        }
        return members
    }

    private mutating func unanswered() -> [String: JSON] {
        var members = selector(isStatic: true)
        members["by"] = .object(selector(isStatic: true))
        members["for"] = duration([1, 3, 20, 100])
        if generator.chance(60) { members["within"] = duration([150, 300, 1_000]) }
        return members
    }

    private mutating func trait() -> [String: JSON] {
        if generator.chance(25) {
            var members = relative("due").object ?? [:]
            members["name"] = members.removeValue(forKey: "property")
            return members
        }
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
