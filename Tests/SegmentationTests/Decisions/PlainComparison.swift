import Foundation
import Models

/// What values and scores come to, worked out the plain way.
extension PlainOracle {
    /// Whether values pass the comparison in an object.
    func compare(_ filter: JSON, _ values: [JSON], at instant: Instant) -> Bool {
        let ignoresCase = filter["ignoreCase"]?.bool == true
        func fold(_ value: JSON) -> JSON {
            ignoresCase ? value.string.map { .string($0.lowercased()) } ?? value : value
        }
        func number(_ value: JSON) -> Double? { value.number ?? value.string.flatMap { Double($0) } }
        let texts = values.compactMap { fold($0).string }
        if let wanted = filter["equals"] { return values.contains { fold($0) == fold(wanted) } }
        if let wanted = filter["notEquals"] { return !values.contains { fold($0) == fold(wanted) } }
        if let wanted = filter["in"]?.array { return values.contains { wanted.map(fold).contains(fold($0)) } }
        if let wanted = filter["notIn"]?.array {
            return !values.contains { wanted.map(fold).contains(fold($0)) }
        }
        if let part = filter["startsWith"].map(fold)?.string { return texts.contains { $0.hasPrefix(part) } }
        if let part = filter["endsWith"].map(fold)?.string { return texts.contains { $0.hasSuffix(part) } }
        if let wanted = filter["contains"].map(fold) {
            return values.map(fold).contains { value in
                if let array = value.array { return array.contains(wanted) }
                return value.string.map { $0.contains(wanted.string ?? "\u{0}") } ?? false
            }
        }
        if let flag = filter["exists"]?.bool { return flag == !values.isEmpty }
        for (key, test) in [
            ("atLeast", { $0 >= $1 }), ("greaterThan", { $0 > $1 }), ("atMost", { $0 <= $1 }),
            ("lessThan", { $0 < $1 }),
        ] as [(String, (Instant, Instant) -> Bool)] {
            guard let bound = filter[key]?.string.flatMap({ Instant(rfc3339: $0) }) else { continue }
            return values.compactMap { $0.string.flatMap { Instant(rfc3339: $0) } }.contains {
                test($0, bound)
            }
        }
        if let bound = filter["atMost"].flatMap(number) {
            return values.compactMap(number).contains { $0 <= bound }
        }
        if let bound = filter["atLeast"].flatMap(number) {
            return values.compactMap(number).contains { $0 >= bound }
        }
        if let bound = filter["greaterThan"].flatMap(number) {
            return values.compactMap(number).contains { $0 > bound }
        }
        if let bound = filter["lessThan"].flatMap(number) {
            return values.compactMap(number).contains { $0 < bound }
        }
        let now = instant.milliseconds
        func ages(_ key: String, _ test: (Int64, Int64) -> Bool) -> Bool? {
            guard let length = filter[key]?.string.flatMap({ Duration(text: $0) })?.milliseconds else {
                return nil
            }
            return values.contains { value in
                guard let text = value.string,
                    let time = Instant(rfc3339: text) ?? Instant(rfc3339: "\(text)T00:00:00Z")
                else { return false }
                return test(now - time.milliseconds, length)
            }
        }
        return ages("withinLast") { age, length in age >= 0 && age < length }
            ?? ages("withinNext") { age, length in age < 0 && age >= -length }
            ?? ages("moreThanAgo") { age, length in age >= length }
            ?? ages("moreThanAhead") { age, length in age < -length } ?? false
    }

    /// A score as it is on paper: event after event, each adding its points to what is left, and stopping at the cap.
    func score(_ scoring: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Double {
        func decay(from: Instant, to: Instant) -> Double {
            guard let halfLife = length(scoring["halfLife"]) else { return 1 }
            return pow(2, -Double(to.milliseconds - from.milliseconds) / Double(halfLife))
        }
        var total = 0.0
        for kind in scoring["events"]?.array ?? [] {
            let events = facts.filter { time($0) <= instant && matches(kind, $0, at: instant) }
                .sorted { (time($0), $0.messageID) < (time($1), $1.messageID) }
            var (points, latest, days) = (0.0, Instant.distantPast, [String: Int]())
            for event in events {
                let calendar = Self.calendar(scoring["zone"]?.string ?? "UTC")
                let day = "\(calendar.dateComponents([.year, .month, .day], from: Self.date(time(event))))"
                days[day, default: 0] += 1
                if let most = kind["perDay"]?.integer, days[day] ?? 0 > Int(most) { continue }
                points = points * decay(from: latest, to: time(event)) + (number(kind["weight"]) ?? 0)
                if let cap = number(kind["cap"]) { points = max(-cap, min(cap, points)) }
                latest = time(event)
            }
            total += points * decay(from: latest, to: instant)
        }
        return number(scoring["maximum"]).map { min($0, total) } ?? total
    }

    func values(of path: String, in properties: [String: JSON]) -> [JSON] {
        if path.hasPrefix("products[].") {
            return (properties["products"]?.array ?? []).compactMap { $0[String(path.dropFirst(11))] }
        }
        return JSON.object(properties)[path: path].map { [$0] } ?? []
    }

    func time(_ event: TrackingEvent) -> Instant { min(event.timestamp, event.receivedAt) }
}
