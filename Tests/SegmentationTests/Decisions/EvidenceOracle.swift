import Models
import Testing

/// Decides explanations again from what they say and nothing else: the events that they list, looked up, and the summary
/// of those that they do not list. It shares no code with the engine.
struct EvidenceOracle {
    /// How the scores are made up, by their ids.
    let scores: [String: JSON]
    let facts: [TrackingEvent]

    /// Whether an explanation holds; every part of it must say of itself what is found of it.
    func holds(_ explanation: JSON, at instant: Instant) throws -> Bool {
        let truth = try decided(explanation, at: instant)
        #expect(explanation["holds"]?.bool == truth, "\(explanation.compact.prefix(3_000))")
        return truth
    }

    private func decided(_ explanation: JSON, at instant: Instant) throws -> Bool {
        if let key = explanation["condition"]?.string {
            let parts = try (explanation["parts"]?.array ?? []).map { try holds($0, at: instant) }
            return ["all", "rfm", "percentile", "permitted"].contains(key)
                ? !parts.contains(false) : key == "any" ? parts.contains(true) : !parts[0]
        }
        let condition = try #require(explanation["condition"])
        if condition["segment"] != nil {
            return try holds(try #require(explanation["parts"]?.array?.first), at: instant)
        }
        let listed = explanation["events"]?.array ?? []
        var ids = Set(listed.compactMap { $0["messageId"]?.string })
        if let answer = explanation[path: "details.answer.messageId"]?.string { ids.insert(answer) }
        var seen = Set<String>()
        let cited = facts.filter { ids.contains($0.messageID) && seen.insert($0.messageID).inserted }
        let oracle = PlainOracle(rule: condition, scores: scores)
        if let need = condition["permission"] {
            let state = explanation[path: "details.state"]?.string
            return oracle.permits(
                need, state.flatMap { ConsentChange.State(rawValue: $0) },
                at: explanation[path: "details.at"]?.string.flatMap { Instant(rfc3339: $0) }, now: instant)
        }
        if let need = condition["place"] { return oracle.isIn(need, explanation[path: "details.country"]) }
        if let consent = condition["consent"] {
            return consent["is"] == explanation[path: "details.state"]
        }
        if let trait = condition["trait"] ?? condition["account"],
            let values = explanation[path: "details.values"]?.array
        {
            return oracle.compare(trait, values, at: instant)
        }
        if let compared = condition["computedTrait"],
            let values = explanation[path: "details.values"]?.array
        {
            let kind = compared["definition"]?.object?.keys.first ?? ""
            let plain = values.flatMap { PlainValue($0, of: kind).compared }
            let truth = oracle.compare(compared, plain, at: instant)
            if explanation["unlisted"] == nil { #expect(oracle.holds(cited, at: instant) == truth) }
            return truth
        }
        guard let unlisted = explanation["unlisted"], let (kind, payload) = condition.object?.first else {
            return oracle.holds(cited, at: instant)
        }
        let count = Int(unlisted["count"]?.integer ?? 0)
        #expect(Int(explanation["eventCount"]?.integer ?? 0) == count + listed.count)
        func number(_ key: String) -> Double { oracle.number(unlisted[key]) ?? 0 }
        func values() -> [Double] { oracle.values(payload, cited, at: instant) }
        switch kind {
        case "count":
            var events = oracle.events(payload, cited, at: instant)
            if let property = payload["sameValueOf"]?.string {
                let value = explanation[path: "details.value"]
                events = events.filter { $0.properties[property] == value }
                return events.count + count >= Int(payload["atLeast"]?.integer ?? 1)
            }
            return oracle.isAmong(payload, events.count + count)
        case "absent": return false
        case "sum": return oracle.passes(payload, values().reduce(0, +) + number("total"))
        case "average":
            let total = values().reduce(0, +) + number("total")
            return oracle.passes(payload, total / (Double(values().count) + number("values")))
        case "distinct":
            let found = oracle.events(payload, cited, at: instant).flatMap {
                oracle.values(of: payload["property"]?.string ?? "", in: $0.properties)
            }
            return oracle.isAmong(payload, Set(found.map(\.compact)).count + Int(number("values")))
        case "ratio": return ratio(payload, unlisted, oracle, cited, at: instant)
        case "unanswered":
            let delay = payload["for"]?.string.flatMap { Duration(text: $0) } ?? .zero
            let first = try #require(time(unlisted["first"]))
            return first + delay <= instant
        case "sequence":
            let first = try #require(time(unlisted["first"]))
            return oracle.isInside(payload, first, at: instant)
                && oracle.sequence(payload, cited, at: instant, earlier: (count, first))
        case "score": return try score(payload, unlisted, listed, oracle, at: instant)
        default:
            Issue.record("a summary is of no use to \(kind)")
            return false
        }
    }

    private func time(_ event: JSON?) -> Instant? {
        event?["timestamp"]?.string.flatMap { Instant(rfc3339: $0) }
    }

    private func ratio(
        _ payload: JSON, _ unlisted: JSON, _ oracle: PlainOracle, _ cited: [TrackingEvent],
        at instant: Instant
    ) -> Bool {
        func count(_ key: String) -> Double {
            let selector = (payload[key]?.object ?? [:]).merging(payload.object ?? [:]) { own, _ in own }
            return Double(oracle.events(.object(selector), cited, at: instant).count)
                + (unlisted[key]?.number ?? 0)
        }
        let (of, to) = (count("of"), count("to"))
        guard to >= payload["toAtLeast"]?.number ?? 1 else { return false }
        func bound(_ key: String) -> Double? { oracle.number(payload[key]).map { $0 * to } }
        if let bound = bound("atLeast") { return of >= bound }
        if let bound = bound("atMost") { return of <= bound }
        if let bound = bound("greaterThan") { return of > bound }
        return bound("lessThan").map { of < $0 } ?? (of == bound("exactly"))
    }

    private func score(
        _ payload: JSON, _ unlisted: JSON, _ listed: [JSON], _ oracle: PlainOracle, at instant: Instant
    ) throws -> Bool {
        let scoring = try #require(scores[payload["id"]?.string ?? ""])
        let asOf = try #require(unlisted["asOf"]?.string.flatMap { Instant(rfc3339: $0) })
        func decay(_ from: Instant, _ to: Instant) -> Double {
            guard let halfLife = oracle.length(scoring["halfLife"]) else { return 1 }
            return power(2, -Double(to.milliseconds - from.milliseconds) / Double(halfLife))
        }
        var total = 0.0
        for (number, kind) in (scoring["events"]?.array ?? []).enumerated() {
            let weight = oracle.number(kind["weight"]) ?? 0
            let left = unlisted["parts"]?.array?.first { $0["kind"]?.integer == Int64(number) }
            var points = (left?["units"]?.string.flatMap { Double($0) } ?? 0) / 1_099_511_627_776 / 1_000_000
            let own = listed.filter { $0["kind"]?.integer == Int64(number) }
            // What each adds and what the cap leaves, from the latest one back.
            var (sum, least) = (0.0, Double.infinity)
            for event in own.reversed() {
                let fact = try #require(facts.first { $0.messageID == event["messageId"]?.string })
                #expect(oracle.matches(kind, fact, at: instant))
                let age = decay(oracle.time(fact), asOf)
                if let cap = oracle.number(kind["cap"]) { least = min(least, cap * age + sum) }
                sum += abs(weight) * age
            }
            points = min(least, sum + points)
            total += weight < 0 ? -points : points
        }
        total *= decay(asOf, instant)
        // Scores are counted in units, towards zero (`HalfLife`): what is left of less than one is nothing.
        if abs(total) < 1 / 1_099_511_627_776 / 1_000_000 { total = 0 }
        return oracle.passes(payload, oracle.number(scoring["maximum"]).map { min($0, total) } ?? total)
    }
}
