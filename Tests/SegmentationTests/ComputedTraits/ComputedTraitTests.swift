import Foundation
import Models
import SegmentationDomain
import Testing

@Suite("Computed traits and the plain oracle agree")
struct ComputedTraitTests {
    private struct Disagreement: Error, CustomStringConvertible {
        var description: String
    }

    private static func definition(_ random: inout SeededGenerator, _ scale: RandomScale) -> JSON {
        var rules = RandomRules(generator: random, scale: scale)
        var members = rules.windowed(rules.selector())
        random = rules.generator
        let kind = random.pick(ComputedTrait.Kind.allCases)
        switch kind {
        case .sum, .average, .minimum, .maximum, .averageOrderValue, .rfm:
            members["property"] = random.pick(["price", "price", "products[].price"])
            if kind == .rfm, members["within"] == nil, members["since"] == nil { members["within"] = "365d" }
        case .distinct, .first, .last, .mostFrequent:
            members["property"] = random.pick(["colour", "price", "products[].sku"])
        case .daysSinceFirst, .daysSinceLast:
            if random.chance(50) { members["zone"] = .string(random.pick(scale.zones)) }
        case .count, .firstTime, .lastTime: break
        }
        return [kind.rawValue: .object(members)]
    }

    /// The events of some people who are one, in the order of their arrival.
    private static func history(_ random: inout SeededGenerator, _ scale: RandomScale) -> [TrackingEvent] {
        (0..<(1 + random.below(2))).flatMap { person -> [TrackingEvent] in
            var history = RandomHistory(generator: random, name: "p\(person)", rules: [:], scale: scale)
            var events: [TrackingEvent] = []
            for _ in 0..<random.below(30) { events.append(history.next(after: events)) }
            random = history.generator
            return events
        }
    }

    @Test("on the value at any instant and until when it stays, with late events, duplicates and merges")
    func values() async throws {
        try await OracleTests.eachCase(600) { random in
            var random = random
            let scale = random.chance(50) ? .milliseconds : random.pick(RandomScale.calendars)
            let all = Self.history(&random, scale)
            for _ in 0..<4 {
                let json = Self.definition(&random, scale)
                let trait = try ComputedTrait(RuleField(json))
                guard try ComputedTrait(RuleField(trait.json)) == trait else {
                    throw Disagreement(description: "\(json.compact) is not read as it is written")
                }
                try Self.compare(trait, PlainTraits(json), all, scale, &random)
            }
            var rules = RandomRules(generator: random, scale: scale)
            let payload = JSON.object(rules.rfm())
            random = rules.generator
            let edition = try #require(payload["edition"])
            let trait = try ComputedTrait(RuleField(["rfm": ["model": "default"]]))
                .by(RFMEdition(RuleField(edition)))
            try Self.compare(trait, PlainTraits(by: edition), all, scale, &random)
        }
    }

    /// At some instants, by what is told later, and, where clocks disagree, by what is told already.
    private static func compare(
        _ trait: ComputedTrait, _ plain: PlainTraits, _ all: [TrackingEvent], _ scale: RandomScale,
        _ random: inout SeededGenerator
    ) throws {
        for _ in 0..<3 {
            let now = instant(among: all, scale, &random)
            let told = random.chance(50) ? all : all.filter { SegmentDecider.instant(of: $0) <= now }
            try compare(trait, plain, told, at: now, scale, &random)
        }
    }

    private static func instant(
        among events: [TrackingEvent], _ scale: RandomScale, _ random: inout SeededGenerator
    ) -> Instant {
        let free = Instant(milliseconds: scale.start + Int64(random.below(8_000)) * scale.unit)
        guard !events.isEmpty, random.chance(70) else { return free }
        let event = SegmentDecider.instant(of: random.pick(events))
        return event + .milliseconds(random.pick([-1, 0, 0, 1, 40, 249, 250, 251]) * scale.unit)
            + .milliseconds(random.pick([-1, 0, 0, 1]))
    }

    private static func compare(
        _ trait: ComputedTrait, _ plain: PlainTraits, _ told: [TrackingEvent], at now: Instant,
        _ scale: RandomScale, _ random: inout SeededGenerator
    ) throws {
        let found = ComputedTraitFold.value(trait, of: told, at: now)
        func fail(_ what: String) -> Disagreement {
            Disagreement(
                description: "\(trait.json.compact) at \(now): \(found.value.compact) until "
                    + "\(found.validUntil?.rfc3339 ?? "ever"), but \(what)")
        }
        func value(at instant: Instant) -> PlainValue { plain.value(told, at: instant) }
        let own = PlainValue(found.value, of: plain.kind)
        guard own.isLike(value(at: now)) else { throw fail("it is \(value(at: now))") }
        guard found.events == plain.count(told, at: now) else { throw fail("of \(found.events) events") }
        guard found.isComplete else { throw fail("it is incomplete") }
        let shuffled = told.shuffled(using: &random)
        guard ComputedTraitFold.value(trait, of: shuffled, at: now) == found else {
            throw fail("in another order")
        }
        var later = (0..<6).map { _ in Self.instant(among: told, scale, &random) }
        if let end = found.validUntil {
            guard end > now, !value(at: end).isLike(own) || trait.kind == .average else {
                throw fail("it is the same then")
            }
            later = later.filter { $0 < end } + [end - .milliseconds(1)]
        }
        for instant in later where instant > now && !value(at: instant).isLike(own) {
            throw fail("at \(instant) it is \(value(at: instant))")
        }
    }

    @Test("of too many events the latest count, in whatever order they come, and the answer says so")
    func limits() async throws {
        try await OracleTests.eachCase(200) { random in
            var random = random
            let all = Self.history(&random, .milliseconds)
            let trait = try ComputedTrait(RuleField(Self.definition(&random, .milliseconds)))
            let now = Self.instant(among: all, .milliseconds, &random)
            func value(_ events: [TrackingEvent], keeping limit: Int) -> ComputedTraitValue {
                var fold = ComputedTraitFold(trait, at: now, keeping: limit)
                for event in events { fold.take(event) }
                return fold.value()
            }
            let told = all.filter { SegmentDecider.instant(of: $0) <= now }
            let first = value(told, keeping: 5)
            #expect(first == value(told.shuffled(using: &random), keeping: 5))
            #expect(first.events <= 5)
            let whole = value(told, keeping: 1_000)
            #expect(whole.isComplete)
            if first.isComplete { #expect(first == whole) }
            // Nothing was read of what happened up to an instant.
            var fold = ComputedTraitFold(trait, at: now)
            for event in told { fold.take(event) }
            let beginning = trait.beginning(at: now)
            #expect(fold.value(cut: now).isComplete == (beginning > now))
            if beginning > .distantPast {
                #expect(fold.value(cut: beginning - .milliseconds(1)).isComplete)
            }
        }
    }

    @Test("a mistake in a definition is named with its place")
    func mistakes() {
        func place(_ json: JSON) -> String? {
            do {
                _ = try ComputedTrait(RuleField(json))
                return nil
            } catch { return error.path.description }
        }
        #expect(place(["sum": ["event": "A"]]) == "sum.property")
        #expect(place(["count": ["event": "A", "property": "b"]]) == "count.property")
        #expect(place(["count": ["event": "A"], "sum": ["event": "A", "property": "b"]]) == "")
        #expect(place(["total": ["event": "A"]]) == "")
        #expect(place(["last": ["event": "A", "property": "a..b"]]) == "last.property")
        #expect(place(["count": ["event": "A", "within": "999999d"]]) == "count.within")
        #expect(place(["daysSinceLast": ["event": "A", "zone": "Nowhere"]]) == "daysSinceLast.zone")
        #expect(place(["lastTime": ["event": "A", "zone": "UTC"]]) == "lastTime.zone")
        #expect(place(["averageOrderValue": []]) == "averageOrderValue")
        #expect(place(["averageOrderValue": [:]]) == nil)
        #expect(place(["count": [:]]) == "count.event")
        #expect(place(["rfm": ["model": "default"]]) == nil)
        #expect(place(["rfm": ["model": "A"]]) == "rfm.model")
        #expect(place(["rfm": ["model": "a", "within": "9d"]]) == "rfm.within")
        #expect(place(["averageOrderValue": ["model": "a"]]) == "averageOrderValue.model")
    }

    @Test("in words it says what it is made of")
    func words() throws {
        func text(_ json: JSON) throws -> String { try ComputedTrait(RuleField(json)).text }
        #expect(
            try text(["mostFrequent": ["event": "Product Viewed", "property": "category", "within": "90d"]])
                == #"most frequent category of "Product Viewed" in 90 days"#)
        #expect(
            try text(["averageOrderValue": ["where": [["property": "total", "greaterThan": 0]]]])
                == #"average total of each "Order Completed" where total > 0"#)
        #expect(
            try text(["daysSinceLast": ["type": "page", "zone": "Europe/Berlin"]])
                == "calendar days in Europe/Berlin since the last any page")
        #expect(
            try text(["rfm": [:]])
                == #"recency, frequency and monetary value by total of "Order Completed" in 365 days"#)
    }
}
