import Models

/// A computed trait worked out the plain way: from its JSON and every fact, at one instant.
struct PlainTraits {
    let kind: String
    let payload: JSON
    private let oracle = PlainOracle(rule: .null)

    /// The thresholds of the model, for a trait that has one.
    var edition: JSON?

    /// By a model of RFM.
    init(by edition: JSON) {
        (kind, payload, self.edition) = ("rfm", edition["orders"] ?? .null, edition)
    }

    init(_ definition: JSON) {
        (kind, payload) = definition.object?.first.map { ($0.key, $0.value) } ?? ("", .null)
    }

    private typealias Found = (event: TrackingEvent, values: [JSON])

    /// The events that count in their order, with the values of the property.
    private func found(_ facts: [TrackingEvent], at instant: Instant) -> [Found] {
        var seen = Set<String>()
        return oracle.events(payload, facts.filter { seen.insert($0.messageID).inserted }, at: instant)
            .sorted { (oracle.time($0), $0.messageID) < (oracle.time($1), $1.messageID) }
            .map { ($0, oracle.values(of: payload["property"]?.string ?? "", in: $0.properties)) }
            .filter { _, values in
                switch kind {
                case "count", "firstTime", "lastTime", "daysSinceFirst", "daysSinceLast", "rfm": true
                case "distinct", "mostFrequent", "first", "last": !values.isEmpty
                default: values.contains { $0.number != nil }
                }
            }
    }

    func count(_ facts: [TrackingEvent], at instant: Instant) -> Int { found(facts, at: instant).count }

    /// What it comes to: numbers as numbers, whatever the service writes them as.
    func value(_ facts: [TrackingEvent], at instant: Instant) -> PlainValue {
        let found = found(facts, at: instant)
        let numbers = found.flatMap { $0.values.compactMap(\.number) }
        let total = numbers.reduce(0, +)
        func days(since event: TrackingEvent?) -> PlainValue {
            guard let event else { return .nothing }
            return .number(Double(elapsed(since: oracle.time(event), at: instant)))
        }
        func number(_ value: Double?) -> PlainValue { value.map { .number($0) } ?? .nothing }
        func time(_ event: TrackingEvent?) -> PlainValue {
            event.map { .text(oracle.time($0).rfc3339) } ?? .nothing
        }
        func value(_ json: JSON?) -> PlainValue { json.map { PlainValue(plain: $0) } ?? .nothing }
        switch kind {
        case "count": return .number(Double(found.count))
        case "sum": return .number(total)
        case "average": return number(numbers.isEmpty ? nil : total / Double(numbers.count))
        case "averageOrderValue": return number(found.isEmpty ? nil : total / Double(found.count))
        case "minimum": return number(numbers.min())
        case "maximum": return number(numbers.max())
        case "distinct": return .number(Double(Set(found.flatMap { $0.values.map(\.compact) }).count))
        case "mostFrequent": return mostFrequent(found)
        case "first": return value(found.first?.values.first)
        case "last": return value(found.last?.values.last)
        case "firstTime": return time(found.first?.event)
        case "lastTime": return time(found.last?.event)
        case "daysSinceFirst": return days(since: found.first?.event)
        case "daysSinceLast": return days(since: found.last?.event)
        default:
            guard let last = found.last?.event else { return .nothing }
            let age = instant.milliseconds - oracle.time(last).milliseconds
            let scores = edition.map { edition in
                [
                    1 + (edition["recency"]?.array ?? []).count { age < oracle.length($0) ?? 0 },
                    1 + (edition["frequency"]?.array ?? []).count { found.count > Int($0.integer ?? 0) },
                    1 + (edition["monetary"]?.array ?? []).count { total > oracle.number($0) ?? 0 },
                ]
            }
            return .rfm(
                days: elapsed(since: oracle.time(last), at: instant), orders: found.count, total: total,
                scores: scores ?? [], name: scores.map { PlainOracle.grid[5 - $0[0]][$0[1] - 1] })
        }
    }

    private func mostFrequent(_ found: [Found]) -> PlainValue {
        let all = Set(found.flatMap { $0.values.map(Self.text) })
        func having(_ value: String) -> [Int] {
            found.indices.filter { found[$0].values.map(Self.text).contains(value) }
        }
        let most = all.max { left, right in
            let (first, second) = (having(left), having(right))
            if first.count != second.count { return first.count < second.count }
            if first.last != second.last { return first.last ?? 0 < second.last ?? 0 }
            return left > right
        }
        return most.map { text in Double(text).map { .number($0) } ?? .text(text) } ?? .nothing
    }

    private func elapsed(since: Instant, at instant: Instant) -> Int {
        if let zone = payload["zone"]?.string { return PlainOracle.days(from: since, to: instant, in: zone) }
        return Int((instant.milliseconds - since.milliseconds) / 86_400_000)
    }

    static func text(_ json: JSON) -> String { json.string ?? json.compact }
}

/// A value, whatever it is written as.
enum PlainValue: Equatable {
    case nothing
    case number(Double)
    case text(String)
    case rfm(days: Int, orders: Int, total: Double, scores: [Int], name: String?)

    /// What the service says.
    init(_ json: JSON, of kind: String) {
        switch kind {
        case _ where json.isNull: self = .nothing
        case "rfm":
            self = .rfm(
                days: Int(json["recencyDays"]?.integer ?? -1), orders: Int(json["frequency"]?.integer ?? -1),
                total: Double(json["monetary"]?.string ?? "") ?? .nan,
                scores: ["recency", "frequency", "monetary"].compactMap { json["scores"]?[$0]?.integer }
                    .map { Int($0) }, name: json["segment"]?.string)
        case "first", "last", "mostFrequent", "firstTime", "lastTime": self.init(plain: json)
        default: self = .number(json.number ?? Double(json.string ?? "") ?? .nan)
        }
    }

    /// A number or a text; 2 and 2.0 are one.
    init(plain json: JSON) {
        self = json.number.map { .number($0) } ?? .text(PlainTraits.text(json))
    }

    /// As a comparison takes it: nothing or one value.
    var compared: [JSON] {
        switch self {
        case .nothing, .rfm: []
        case .number(let number) where number == number.rounded(): [.integer(Int64(number))]
        case .number(let number): [.double(number)]
        case .text(let text): [.string(text)]
        }
    }

    /// Whether it is the same, to a millionth.
    func isLike(_ other: PlainValue) -> Bool {
        guard case .number(let left) = self, case .number(let right) = other else { return self == other }
        return abs(left - right) < 0.000_001
    }
}
