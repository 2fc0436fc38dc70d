import Foundation
import Models

/// Membership worked out the plain way: from the rule's JSON and every fact, at one instant, with no state.
/// It shares no code with the engine, on purpose.
struct PlainOracle {
    let rule: JSON
    /// The rules of the other segments by their ids.
    var segments: [String: JSON] = [:]
    /// How the scores are made up, by their ids.
    var scores: [String: JSON] = [:]
    /// The rules of the stages in their order.
    var stages: [(id: String, rule: JSON)] = []
    /// What everybody did, for what others tell of accounts; nil where nobody else does.
    var everybody: [TrackingEvent]?

    func holds(_ facts: [TrackingEvent], at instant: Instant) -> Bool {
        var seen = Set<String>()
        let unique = facts.filter { seen.insert($0.messageID).inserted }
        return holds(rule, unique, at: instant)
    }

    private func holds(_ rule: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        if let parts = rule["all"]?.array { return parts.allSatisfy { holds($0, facts, at: instant) } }
        if let parts = rule["any"]?.array { return parts.contains { holds($0, facts, at: instant) } }
        if let part = rule["not"] { return !holds(part, facts, at: instant) }
        if let permitted = rule["permitted"], let inner = permitted["rule"] {
            return holds(inner, facts, at: instant)
                && (permitted["needs"]?.array ?? []).allSatisfy { permits($0, facts, at: instant) }
        }
        if let id = rule["segment"]?.string {
            return segments[id].map { holds($0, facts, at: instant) } ?? false
        }
        if let id = rule["stage"]?.string {
            return stages.last { holds($0.rule, facts, at: instant) }?.id == id
        }
        if let score = rule["score"] {
            return scores[score["id"]?.string ?? ""].map { passes(score, self.score($0, facts, at: instant)) }
                ?? false
        }
        if let count = rule["count"] { return self.count(count, facts, at: instant) }
        if let absent = rule["absent"] { return events(absent, facts, at: instant).isEmpty }
        if let sum = rule["sum"] { return self.sum(sum, facts, at: instant) }
        if let unanswered = rule["unanswered"] { return self.unanswered(unanswered, facts, at: instant) }
        if let average = rule["average"] {
            let values = values(average, facts, at: instant)
            return !values.isEmpty && passes(average, values.reduce(0, +) / Double(values.count))
        }
        if let least = rule["minimum"] {
            return values(least, facts, at: instant).min().map { passes(least, $0) } ?? false
        }
        if let greatest = rule["maximum"] {
            return values(greatest, facts, at: instant).max().map { passes(greatest, $0) } ?? false
        }
        if let distinct = rule["distinct"] {
            let property = distinct["property"]?.string ?? ""
            let found = events(distinct, facts, at: instant).flatMap {
                values(of: property, in: $0.properties)
            }
            return isAmong(distinct, Set(found.map(\.compact)).count)
        }
        if let sequence = rule["sequence"] { return self.sequence(sequence, facts, at: instant) }
        if let ratio = rule["ratio"] {
            func count(_ key: String) -> Double {
                let payload = (ratio[key]?.object ?? [:]).merging(ratio.object ?? [:]) { own, _ in own }
                return Double(events(.object(payload), facts, at: instant).count)
            }
            let (of, to) = (count("of"), count("to"))
            guard to >= ratio["toAtLeast"]?.number ?? 1 else { return false }
            // The bounds are quarters, so the products are exact.
            func bound(_ key: String) -> Double? {
                ratio[key].flatMap { $0.number ?? $0.string.flatMap { Double($0) } }.map { $0 * to }
            }
            if let bound = bound("atLeast") { return of >= bound }
            if let bound = bound("atMost") { return of <= bound }
            if let bound = bound("greaterThan") { return of > bound }
            return bound("lessThan").map { of < $0 } ?? (of == bound("exactly"))
        }
        if let identifier = rule["identifier"]?["type"]?.string {
            return facts.contains { time($0) <= instant && carries(identifier, $0) }
        }
        if let context = rule["context"] {
            let path = context["property"]?.string ?? ""
            let latest = facts.filter {
                time($0) <= instant && !(JSON.object($0.context)[path: path] ?? .null).isNull
            }.max { (time($0), $0.messageID) < (time($1), $1.messageID) }
            let value = latest.flatMap { JSON.object($0.context)[path: path] }
            return compare(context, value.map { [$0] } ?? [], at: instant)
        }
        if let consent = rule["consent"] { return self.consent(consent, facts, at: instant) }
        if let account = rule["account"] {
            let name = account["name"]?.string ?? ""
            let own = facts.filter { $0.kind == .group && time($0) <= instant }.compactMap(\.groupID)
            let calls = (everybody ?? facts).filter {
                $0.kind == .group && time($0) <= instant && $0.traits[name] != nil
                    && own.contains($0.groupID ?? "")
            }
            let values = Dictionary(grouping: calls) { $0.groupID }.values.compactMap { calls in
                calls.max { (time($0), $0.messageID) < (time($1), $1.messageID) }?.traits[name]
            }
            return compare(account, values.filter { !$0.isNull }, at: instant)
        }
        if let rfm = rule["rfm"] { return self.rfm(rfm, facts, at: instant) }
        if let compared = rule["computedTrait"] {
            let value = PlainTraits(compared["definition"] ?? .null).value(facts, at: instant)
            return compare(compared, value.compared, at: instant)
        }
        if let compared = rule["percentile"] { return percentile(compared, facts, at: instant) }
        if let date = rule["date"] { return self.date(date, facts, at: instant) }
        if let age = rule["age"] { return self.age(age, facts, at: instant) }
        if let first = rule["first"] { return oneTime(first, facts, at: instant) { $0.min() } }
        if let last = rule["last"] { return oneTime(last, facts, at: instant) { $0.max() } }
        if let trait = rule["trait"] { return self.trait(trait, facts, at: instant) }
        return false
    }

    private func count(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        let events = events(payload, facts, at: instant)
        if let property = payload["sameValueOf"]?.string {
            let values = events.compactMap { $0.properties[property]?.string }
            let least = payload["atLeast"]?.integer ?? 1
            return Set(values).contains { value in values.filter { $0 == value }.count >= least }
        }
        return isAmong(payload, events.count)
    }

    func isAmong(_ payload: JSON, _ count: Int) -> Bool {
        if let times = payload["atMost"]?.integer { return count <= times }
        if let times = payload["exactly"]?.integer { return count == times }
        if let bounds = payload["between"]?.array, let low = bounds[0].integer, let high = bounds[1].integer {
            return count >= low && count <= high
        }
        return count >= payload["atLeast"]?.integer ?? 1
    }

    /// Every chain there is, tried one event after the other.
    ///
    /// `earlier` says of how many events of the first step nothing is known but the time of the first.
    func sequence(
        _ payload: JSON, _ facts: [TrackingEvent], at instant: Instant,
        earlier: (count: Int, first: Instant)? = nil
    ) -> Bool {
        let steps = payload["steps"]?.array ?? []
        let known = facts.filter { time($0) <= instant }
        let inside = known.filter { isInside(payload, time($0), at: instant) }
        let least = Int(steps[0]["atLeast"]?.integer ?? 1)
        let beginnings = inside.filter { matches(steps[0], $0, at: instant) }
        return beginnings.contains { event in
            let latest = beginnings.map(time).filter { $0 <= time(event) }.sorted().suffix(least)
            var first = latest.first
            if latest.count < least {
                guard let earlier, latest.count + earlier.count >= least else { return false }
                first = earlier.first
            }
            guard let first else { return false }
            if let length = length(steps[0]["in"]), time(event).milliseconds - first.milliseconds >= length {
                return false
            }
            return goesOn(steps.dropFirst(), after: event, known, inside, at: instant)
        }
    }

    private func goesOn(
        _ steps: ArraySlice<JSON>, after event: TrackingEvent, _ known: [TrackingEvent],
        _ inside: [TrackingEvent],
        at instant: Instant
    ) -> Bool {
        guard let step = steps.first else { return true }
        let length = length(step["within"])
        if let unwanted = step["not"], let length {
            let end = time(event).milliseconds + length
            return end <= instant.milliseconds
                && !known.contains {
                    $0.messageID != event.messageID && matches(unwanted, $0, at: instant)
                        && time($0) >= time(event) && time($0).milliseconds < end
                }
        }
        return inside.contains { next in
            guard matches(step, next, at: instant), time(next) > time(event) else { return false }
            if let length, time(next).milliseconds - time(event).milliseconds >= length { return false }
            if let unwanted = step["without"] {
                let isBroken = known.contains {
                    $0.messageID != event.messageID && $0.messageID != next.messageID
                        && matches(unwanted, $0, at: instant) && time($0) >= time(event)
                        && time($0) <= time(next)
                }
                if isBroken { return false }
            }
            return goesOn(steps.dropFirst(), after: next, known, inside, at: instant)
        }
    }

    func length(_ json: JSON?) -> Int64? { json?.string.flatMap { Duration(text: $0) }?.milliseconds }

    private func carries(_ identifier: String, _ event: TrackingEvent) -> Bool {
        switch identifier {
        case "userId": event.userID != nil
        case "email": event.traits["email"]?.string?.contains("@") ?? false
        case "deviceId":
            event.context["device"]?["id"].map { !$0.isNull } ?? false
        default:
            (event.context["externalIds"]?.array ?? []).contains {
                $0["type"] == .string(identifier) && $0["id"] != ""
            }
        }
    }

    private func age(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        let calls = facts.filter { $0.kind == .identify && time($0) <= instant }
        guard let text = value(of: "birthday", calls)?.string, let zone = payload["zone"]?.string else {
            return false
        }
        let parts = text.prefix(10).split(separator: "-").compactMap { Int($0) }
        // 29 February where there is none.
        if parts[1...] == [2, 29], parts[0] % 4 != 0 { return false }
        let today = Self.calendar(zone).dateComponents([.year, .month, .day], from: Self.date(instant))
        let hasPassed = (today.month ?? 0, today.day ?? 0) >= (parts[1], parts[2])
        let years = (today.year ?? 0) - parts[0] - (hasPassed ? 0 : 1)
        return years >= 0 && isAmong(payload, years)
    }

    /// The names by the scores: a row for each recency from 5 down to 1, in it a name for each frequency from 1 up to 5.
    static let grid = [
        ["New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"],
        ["Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"],
        ["About To Sleep", "About To Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"],
        ["Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"],
        ["Lost", "Lost", "At Risk", "At Risk", "Can't Lose Them"],
    ]

    private func rfm(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        guard let edition = payload["edition"], let orders = edition["orders"] else { return false }
        let found = events(orders, facts, at: instant)
        guard let last = found.map(time).max() else { return false }
        let elapsed = instant.milliseconds - last.milliseconds
        let total = values(orders, facts, at: instant).reduce(0, +)
        let recency = 1 + (edition["recency"]?.array ?? []).count { elapsed < length($0) ?? 0 }
        let frequency = 1 + (edition["frequency"]?.array ?? []).count { found.count > Int($0.integer ?? 0) }
        let monetary = 1 + (edition["monetary"]?.array ?? []).count { total > number($0) ?? 0 }
        if let name = payload["segment"]?.string { return Self.grid[5 - recency][frequency - 1] == name }
        return [("recency", recency), ("frequency", frequency), ("monetary", monetary)].allSatisfy {
            key, score in
            payload[key].map { isAmong($0, score) } ?? true
        }
    }

    private func percentile(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        guard let edition = payload["edition"], let measure = edition["measure"]?.object?.first else {
            return false
        }
        let (key, what) = (measure.key, measure.value)
        let found = key == "score" ? [] : events(what, facts, at: instant)
        let value: Double? =
            switch key {
            case "count": found.isEmpty ? nil : Double(found.count)
            case "sum": found.isEmpty ? nil : values(what, facts, at: instant).reduce(0, +)
            case "minimum": values(what, facts, at: instant).min()
            case "maximum": values(what, facts, at: instant).max()
            case "daysSinceLast": found.map(time).max().map { Double(instant.milliseconds - $0.milliseconds) }
            default: scores[what.string ?? ""].map { score($0, facts, at: instant) }
            }
        guard let value else { return false }
        let more = (edition["thresholds"]?.array ?? []).count { threshold in
            value > (key == "daysSinceLast" ? length(threshold).map(Double.init) : number(threshold)) ?? 0
        }
        return isAmong(payload, more)
    }

    /// Day by day, until the one that is looked for is there.
    private func date(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        let calls = facts.filter { $0.kind == .identify && time($0) <= instant }
        guard let text = value(of: payload["trait"]?.string ?? "", calls)?.string,
            let zone = payload["zone"]?.string
        else { return false }
        let isYearly = payload["yearly"]?.bool == true
        let utc = Self.calendar("UTC")
        func days(_ parts: DateComponents) -> Int {
            var parts = parts
            parts.calendar = utc
            return Int(((parts.date?.timeIntervalSince1970 ?? 0) / 86_400).rounded())
        }
        func local(_ instant: Instant) -> DateComponents {
            Self.calendar(zone).dateComponents([.year, .month, .day], from: Self.date(instant))
        }
        var parts = DateComponents()
        if !isYearly, let time = Instant(rfc3339: text) {
            parts = local(time)
        } else {
            let numbers = text.prefix(10).split(separator: "-").compactMap { Int($0) }
            guard numbers.count == 3 else { return false }
            (parts.year, parts.month, parts.day) = (numbers[0], numbers[1], numbers[2])
            if numbers[1...] == [2, 29], numbers[0] % 4 != 0 { return false }
        }
        let today = days(local(instant))
        var distance = days(parts) - today
        if isYearly {
            distance = 0
            while true {
                let day = utc.dateComponents(
                    [.year, .month, .day],
                    from: Date(timeIntervalSince1970: Double(today + distance) * 86_400))
                let year = day.year ?? 0
                let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
                let wanted =
                    parts.month == 2 && parts.day == 29 && !isLeap
                    ? (3, 1) : (parts.month ?? 0, parts.day ?? 0)
                if (day.month ?? 0, day.day ?? 0) == wanted, year > parts.year ?? 0 { break }
                distance += 1
            }
        }
        let away = payload["ago"] != nil ? -distance : distance
        return away >= 0 && isAmong(payload["ago"] ?? payload["ahead"] ?? ["exactly": 0], away)
    }

    private func oneTime(
        _ payload: JSON, _ facts: [TrackingEvent], at instant: Instant, _ pick: ([Instant]) -> Instant?
    ) -> Bool {
        let times = facts.filter { matches(payload, $0, at: instant) }.map(time).filter { $0 <= instant }
        guard let time = pick(times) else { return false }
        let elapsed = instant.milliseconds - time.milliseconds
        if let low = length(payload[path: "ago.atLeast"]) { return elapsed >= low }
        if let high = length(payload[path: "ago.lessThan"]) { return elapsed < high }
        if let bounds = payload[path: "ago.between"]?.array?.compactMap(length) {
            return elapsed >= bounds[0] && elapsed < bounds[1]
        }
        if let days = payload["daysAgo"], let zone = days["zone"]?.string {
            return isAmong(days, Self.days(from: time, to: instant, in: zone))
        }
        if let before = payload["before"] { return !isInside(["since": before], time, at: instant) }
        return isInside(payload, time, at: instant)
    }

    private func sum(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        // The histories hold whole numbers and halves only, which Double adds exactly.
        passes(payload, values(payload, facts, at: instant).reduce(0, +))
    }

    /// The numbers of a property in the events that are meant.
    func values(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> [Double] {
        events(payload, facts, at: instant).flatMap { event in
            values(of: payload["property"]?.string ?? "", in: event.properties).compactMap(\.number)
        }
    }

    func passes(_ payload: JSON, _ total: Double) -> Bool {
        if let value = number(payload["exactly"]) { return total == value }
        if let bounds = payload["between"]?.array?.compactMap({ number($0) }) {
            return total >= bounds[0] && total <= bounds[1]
        }
        if let bound = number(payload["atLeast"]) { return total >= bound }
        if let bound = number(payload["atMost"]) { return total <= bound }
        if let bound = number(payload["greaterThan"]) { return total > bound }
        return total < number(payload["lessThan"]) ?? 0
    }

    /// A number, or one that is written as text.
    func number(_ json: JSON?) -> Double? {
        json.flatMap { $0.number ?? $0.string.flatMap { Double($0) } }
    }

    private func unanswered(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        let answers = facts.filter { matches(payload["by"] ?? .null, $0, at: instant) && time($0) <= instant }
        let delay = payload["for"]?.string.flatMap { Duration(text: $0) } ?? .zero
        return events(payload, facts, at: instant).contains { begun in
            time(begun) + delay <= instant && !answers.contains { time($0) >= time(begun) }
        }
    }

    private func trait(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        let name = payload["name"]?.string ?? ""
        let value = value(at: name, facts.filter { $0.kind == .identify && time($0) <= instant })
        return compare(payload, value.map { [$0] } ?? [], at: instant)
    }

    /// The value of a trait, or of what is within it, that holds after all these calls.
    private func value(at path: String, _ calls: [TrackingEvent]) -> JSON? {
        let names = path.split(separator: ".").map(String.init)
        let value = value(of: names[0], calls)
        guard names.count > 1 else { return value }
        let found = value?.object?[names[1]]
        return found?.isNull == true ? nil : found
    }

    /// What was said of a trait, before it had a rule or since.
    private struct Saying: Equatable {
        let value: JSON
        let hasRule: Bool
    }

    /// The value of a trait that holds after all these calls; they are all of one source. Of those from before it had a
    /// rule the last alone counts, as if somebody else had said it.
    func value(of name: String, _ calls: [TrackingEvent]) -> JSON? {
        var sayings = calls.filter { $0.traits[name] != nil }
            .sorted { (time($0), $0.messageID) < (time($1), $1.messageID) }
        let before = sayings.prefix { $0.traitRules[name] == nil }.count
        if before < sayings.count { sayings.removeFirst(max(0, before - 1)) }
        let said = sayings.map {
            Saying(value: $0.traits[name] ?? .null, hasRule: $0.traitRules[name] != nil)
        }
        let standing = Array(said.suffix(from: said.lastIndex { $0.value.isNull }.map { $0 + 1 } ?? 0))
        guard !standing.isEmpty else { return nil }
        // In the order in which they were ever said first.
        var all: [Saying] = []
        for saying in said where !saying.value.isNull && !all.contains(saying) { all.append(saying) }
        switch sayings.last?.traitRules[name] {
        case .first: return all.first { standing.contains($0) }?.value
        case .union:
            let values = all.filter { standing.contains($0) }.map(\.value)
            return .array(
                values.enumerated().filter { !values[..<$0.offset].contains($0.element) }.map(\.element))
        case .maximum:
            let numbers = standing.compactMap(\.value.number)
            return numbers.max().map { .integer(Int64($0)) }
                ?? standing.compactMap(\.value.string).max().map { .string($0) } ?? standing.last?.value
        case .priority: return standing.last { $0.hasRule }?.value ?? standing.last?.value
        default: return standing.last?.value
        }
    }

    /// The events a payload is about that are in its window.
    func events(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> [TrackingEvent] {
        facts.filter {
            time($0) <= instant && isInside(payload, time($0), at: instant)
                && matches(payload, $0, at: instant)
        }
    }

    /// Whether a time up to `instant` is in the window that a payload says: T − W < t ≤ T for a rolling one; by days,
    /// if fewer than so many days begin after it.
    func isInside(_ payload: JSON, _ time: Instant, at instant: Instant) -> Bool {
        if let window = payload["within"]?.string.flatMap({ Duration(text: $0) }) {
            return time.milliseconds > instant.milliseconds - window.milliseconds
        }
        if let days = payload[path: "within.days"]?.integer, let zone = payload[path: "within.zone"]?.string {
            return Self.days(from: time, to: instant, in: zone) < Int(days)
        }
        if let since = payload["since"]?.string { return time >= Instant(rfc3339: since) ?? .distantFuture }
        if let date = payload[path: "since.date"]?.string, let zone = payload[path: "since.zone"]?.string {
            let parts = date.split(separator: "-").compactMap { Int($0) }
            let start = DateComponents(
                calendar: Self.calendar(zone), year: parts[0], month: parts[1], day: parts[2]
            ).date
            return Self.date(time) >= start ?? .distantFuture
        }
        return true
    }

    /// How often the date changed, by Foundation's calendar. It is asked for the dates alone: between a day that begins at
    /// 01:00, because the clocks skip midnight, and another it would count one day less.
    static func days(from: Instant, to: Instant, in zone: String) -> Int {
        func day(_ instant: Instant) -> Date? {
            var parts = calendar(zone).dateComponents([.year, .month, .day], from: date(instant))
            parts.calendar = calendar("UTC")
            return parts.date
        }
        guard let first = day(from), let last = day(to) else { return 0 }
        return Int((last.timeIntervalSince(first) / 86_400).rounded())
    }

    static func calendar(_ zone: String) -> Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: zone) ?? .gmt
        return calendar
    }

    static func date(_ instant: Instant) -> Date {
        Date(timeIntervalSince1970: Double(instant.milliseconds) / 1_000)
    }

    func matches(_ selector: JSON, _ event: TrackingEvent, at instant: Instant) -> Bool {
        guard event.kind == .track else { return false }
        if let name = selector["event"]?.string, name != "*", name != event.name { return false }
        if let names = selector["event"]?.array, !names.contains(.string(event.name ?? "")) { return false }
        return (selector["where"]?.array ?? []).allSatisfy { passes($0, event.properties, at: instant) }
    }

    private func passes(_ filter: JSON, _ properties: [String: JSON], at instant: Instant) -> Bool {
        if filter["any"] != nil {
            return (properties["products"]?.array ?? []).contains { element in
                (filter["where"]?.array ?? []).allSatisfy { passes($0, element.object ?? [:], at: instant) }
            }
        }
        return compare(filter, values(of: filter["property"]?.string ?? "", in: properties), at: instant)
    }
}
