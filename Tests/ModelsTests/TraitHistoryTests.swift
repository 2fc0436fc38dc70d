import Foundation
import Models
import Testing

@Suite("The rules of traits against brute force")
struct TraitHistoryTests {
    /// One thing that a source said of the trait, on one of a person's profiles.
    private struct Saying: Hashable {
        var value: JSON
        var stamp: EffectiveTraits.Stamp
        var source: Int
        var profile: Int

        func entry(_ rule: TraitRule) -> EffectiveTraits.Entry {
            EffectiveTraits.Entry(
                value: value, stamp: stamp, from: TraitHistoryTests.source(source), by: own(rule))
        }

        /// A source's own rank under a priority.
        func own(_ rule: TraitRule) -> TraitRule {
            if case .priority = rule { .priority(rank: source) } else { rule }
        }
    }

    private static func source(_ number: Int) -> SourceID {
        SourceID(UUIDv7.derived(at: Instant(milliseconds: 1), from: "source", "\(number)"))
    }

    private static let rules: [TraitRule] = [.first, .maximum, .union, .priority(rank: 0)]

    private static func sayings(using generator: inout SeededGenerator) -> [Saying] {
        (0..<Int.random(in: 1...14, using: &generator)).map { number in
            let values: [JSON] = ["a", "b", 1, 2, "10", 2.5, .null, ["a", 1], ["c", "b"]]
            return Saying(
                value: values.randomElement(using: &generator) ?? .null,
                stamp: EffectiveTraits.Stamp(
                    at: Instant(milliseconds: Int64.random(in: 0...9, using: &generator)),
                    messageID: "m\(number)"),
                source: Int.random(in: 0...2, using: &generator),
                profile: Int.random(in: 0...2, using: &generator))
        }
    }

    /// The value that holds, from all that was said, in the plainest way; nil for none.
    private static func expected(_ sayings: [Saying], by rule: TraitRule) -> JSON? {
        var parts = sayings.filter { !$0.value.isNull }
        if rule == .union {
            parts = parts.flatMap { saying in
                (saying.value.array ?? [saying.value]).map { element in
                    var part = saying
                    part.value = element
                    return part
                }
            }
        }
        let removed = sayings.filter(\.value.isNull).map(\.stamp).max()
        let standing = parts.filter { part in removed.map { part.stamp > $0 } ?? true }
        func first(_ part: Saying) -> EffectiveTraits.Stamp {
            parts.filter { $0.value == part.value && $0.source == part.source }.map(\.stamp).min()
                ?? part.stamp
        }
        switch rule {
        case .latest: return standing.max { $0.stamp < $1.stamp }?.value
        case .first: return standing.min { first($0) < first($1) }?.value
        case .priority:
            return standing.min { ($0.source, $1.stamp) < ($1.source, $0.stamp) }?.value
        case .maximum:
            func size(_ value: JSON) -> (Int, Double, String) {
                if let number = value.number ?? value.string.flatMap({ Double($0) }) {
                    return (2, number, "")
                }
                if let text = value.string { return (1, 0, text) }
                return (0, 0, "")
            }
            // Of two that are the same the one said last.
            return standing.max {
                let (one, other) = (size($0.value), size($1.value))
                return one != other ? one < other : $0.stamp < $1.stamp
            }?.value
        case .union:
            guard !standing.isEmpty else { return nil }
            var values: [JSON] = []
            let order = standing.sorted { left, right in
                first(left) != first(right)
                    ? first(left) < first(right) : left.value.compact.precedesInUTF8(right.value.compact)
            }
            for part in order where !values.contains(part.value) { values.append(part.value) }
            return .array(values)
        }
    }

    @Test(
        "in whatever order, how often and on however many profiles it was said, the same holds",
        arguments: rules)
    func oracle(_ rule: TraitRule) throws {
        var generator = seededGenerator("\(#function) \(rule.text)")
        for _ in 0..<3_000 {
            let sayings = Self.sayings(using: &generator)
            let repeated = (sayings + sayings.prefix(3)).shuffled(using: &generator)
            var profiles: [Int: EffectiveTraits] = [:]
            for saying in repeated {
                profiles[saying.profile, default: EffectiveTraits()].apply(saying.entry(rule), to: "t")
            }
            var person = EffectiveTraits()
            for profile in profiles.values.shuffled(using: &generator) {
                // As it was stored in between.
                person.merge(try EffectiveTraits(json: JSONParser.parse(profile.json.compact)))
            }
            let expected = Self.expected(sayings, by: rule)
            #expect(Self.sorted(person["t"], rule) == Self.sorted(expected, rule), "\(sayings)")
            if rule == .union { #expect(person["t"] == nil || person["t"]?.array?.isEmpty == false) }
        }
    }

    /// Of elements that came with one event no source comes first; which of them is the same everywhere, but not the
    /// oracle's business.
    private static func sorted(_ value: JSON?, _ rule: TraitRule) -> JSON? {
        guard rule == .union, let elements = value?.array else { return value }
        return .array(elements.sorted { $0.compact.precedesInUTF8($1.compact) })
    }

    @Test("a value knows the event and the source that it is of, and each value of a union its own")
    func provenance() throws {
        func entry(_ value: JSON, _ at: Int64, _ source: Int, _ rule: TraitRule) -> EffectiveTraits.Entry {
            EffectiveTraits.Entry(
                value: value, stamp: .init(at: Instant(milliseconds: at), messageID: "m\(at)"),
                from: Self.source(source), by: rule)
        }
        var interests = entry(["shoes", "hats"], 5, 1, .union)
        interests.merge(entry("bags", 2, 2, .union))
        interests.merge(entry("hats", 9, 2, .union))
        #expect(interests.value == ["bags", "hats", "shoes"])
        #expect(interests.stamp.messageID == "m5")
        #expect(interests.history?.holding.map(\.first.messageID) == ["m2", "m5", "m5", "m9"])
        var plan = entry("free", 9, 1, .priority(rank: 1))
        plan.merge(entry("pro", 3, 0, .priority(rank: 0)))
        #expect(plan.value == "pro")
        #expect(plan.stamp.messageID == "m3" && plan.history?.effective?.sourceID == Self.source(0))
    }

    @Test("a trait that got a rule later starts from what held")
    func ruleChanges() {
        var plain = EffectiveTraits.Entry(
            value: 5, stamp: .init(at: Instant(milliseconds: 9), messageID: "old"))
        let lower = EffectiveTraits.Entry(
            value: 3, stamp: .init(at: Instant(milliseconds: 10), messageID: "new"), from: Self.source(0),
            by: .maximum)
        plain.merge(lower)
        #expect(plain.value == 5)
    }

    @Test("no more is kept of a trait than is stated, and what holds is kept")
    func bounded() {
        var all = EffectiveTraits()
        for number in 0..<500 {
            let stamp = EffectiveTraits.Stamp(at: Instant(milliseconds: Int64(number)), messageID: "m")
            for (name, rule) in [("first", TraitRule.first), ("max", .maximum), ("union", .union)] {
                all.apply(
                    EffectiveTraits.Entry(
                        value: .integer(Int64(-number)), stamp: stamp, from: Self.source(0), by: rule),
                    to: name)
            }
            let text = JSON.string(String(repeating: "x", count: 4_000) + "\(number)")
            all.apply(
                EffectiveTraits.Entry(value: text, stamp: stamp, from: Self.source(0), by: .union), to: "big")
        }
        #expect(all["first"] == 0)
        #expect(all["max"] == 0)
        #expect(all["union"]?.array?.count == TraitHistory.mostClaims)
        #expect((1...16).contains(all["big"]?.array?.count ?? 0))
        #expect(all.entries.values.allSatisfy { ($0.history?.claims.count ?? 0) <= TraitHistory.mostClaims })
    }
}
