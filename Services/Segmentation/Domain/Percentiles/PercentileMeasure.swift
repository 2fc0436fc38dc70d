package import Models

/// What a population is compared by: `{"sum": {"event": "Order Completed", "property": "total", "within": "365d"}}`, or
/// `count`, `minimum`, `maximum`, `daysSinceLast`, or a score: `{"score": "engagement"}`.
///
/// A measure of events is of those who have done any of them, a score of everybody.
package enum PercentileMeasure: Hashable, Sendable {
    case events(ComputedTrait)
    case score(String)

    private static let kinds: [ComputedTrait.Kind] = [.count, .sum, .minimum, .maximum, .daysSinceLast]
    package static let keys = kinds.map(\.rawValue) + [ScoreValue.key]

    /// Reads the one member of an object.
    package init(_ field: RuleField) throws(RuleProblem) {
        let (key, payload) = try field.one(of: Self.keys)
        if key == ScoreValue.key {
            guard let id = payload.json.string, SegmentDefinition.isValid(id: id) else {
                throw payload.problem("the id of a score")
            }
            self = .score(id)
            return
        }
        let trait = try ComputedTrait(field)
        guard !trait.source.events.isTimed else {
            throw RuleProblem(
                payload.path.appending("where"), expected: "filters without times relative to the present")
        }
        guard trait.zone == nil else {
            throw RuleProblem(payload.path.appending("zone"), expected: "no zone: days are of 24 hours")
        }
        self = .events(trait)
    }

    package var json: JSON {
        switch self {
        case .events(let trait): trait.json
        case .score(let id): [ScoreValue.key: .string(id)]
        }
    }

    package var text: String {
        switch self {
        case .events(let trait): trait.text
        case .score(let id): "score \(RuleWords.name(id))"
        }
    }

    /// What is made of somebody's events to measure them; nil for a score. Of a sum an event without a number is one all the
    /// same.
    package var folded: ComputedTrait? {
        guard case .events(let trait) = self else { return nil }
        return trait.kind == .sum ? trait.countingAll : trait
    }

    // MARK: Values, in whole numbers: times, millionths, or milliseconds

    private enum Unit { case times, amount, time }

    private var unit: Unit {
        switch self {
        case .events(let trait):
            trait.kind == .count ? .times : trait.kind == .daysSinceLast ? .time : .amount
        case .score: .amount
        }
    }

    /// The largest value that rules can compare with.
    private var most: Int64 {
        switch unit {
        case .times: Int64(RuleLimits.count - 1)
        case .amount: .max - 1
        case .time: RuleLimits.window.milliseconds - 1
        }
    }

    /// A value as a threshold.
    func threshold(_ value: Int64) -> Int64 { min(value, most) }

    /// A threshold as it is written: `12`, `"49.90"`, `"3d"`.
    func json(of value: Int64) -> JSON {
        switch unit {
        case .times: .integer(value)
        case .amount: .string(Amount(millionths: value).text)
        case .time: .string(Duration.milliseconds(value).text)
        }
    }

    func threshold(_ field: RuleField) throws(RuleProblem) -> Int64 {
        switch unit {
        case .times: return Int64(try field.count(0...Int(most)))
        case .amount: return try field.amount().millionths
        case .time:
            guard let length = field.json.string.flatMap({ Duration(text: $0) }), length >= .zero,
                length.milliseconds <= most
            else { throw field.problem("a length of time") }
            return length.milliseconds
        }
    }

    // MARK: Conditions

    /// Conditions that hold together where the measure is more than `low` and at most `high`.
    func conditions(above low: Int64?, upTo high: Int64?) -> [JSON] {
        if let low, let high, low >= high { return never }
        switch self {
        case .score(let id):
            // A score is no whole number of millionths, so there is no next one above a threshold.
            let bounds: [[String: JSON]] = [
                low.map { ["greaterThan": Amount(millionths: $0).json] },
                high.map { ["atMost": Amount(millionths: $0).json] },
            ].compactMap { $0 }
            return bounds.map { [ScoreValue.key: .object($0.merging(["id": .string(id)]) { $1 })] }
        case .events(let trait):
            let source = trait.source.members
            let some: JSON = ["count": .object(source.merging(["atLeast": 1]) { $1 })]
            switch trait.kind {
            case .count:
                let least = max(1, (low ?? 0) + 1)
                guard let high else {
                    return [["count": .object(source.merging(["atLeast": .integer(least)]) { $1 })]]
                }
                guard least <= high else { return never }
                let bounds: JSON = [.integer(least), .integer(high)]
                return [["count": .object(source.merging(["between": bounds]) { $1 })]]
            case .daysSinceLast:
                func text(_ value: Int64) -> JSON { .string(Duration.milliseconds(value + 1).text) }
                let ago: JSON =
                    switch (low, high) {
                    case (let low?, let high?): ["between": [text(low), text(high)]]
                    case (let low?, nil): ["atLeast": text(low)]
                    case (nil, let high): ["lessThan": text(high ?? most)]
                    }
                // The last of those in the window is the last of all.
                return [
                    some,
                    ["last": .object(trait.source.events.members.merging(["ago": ago]) { $1 })],
                ]
            default:
                var members = source.merging(Self.amounts(low, high)) { $1 }
                members["property"] = trait.property.map { .string($0.text) }
                let own: JSON = .object([trait.kind.rawValue: .object(members)])
                return trait.kind == .sum ? [some, own] : [own]
            }
        }
    }

    private var never: [JSON] {
        switch self {
        case .events(let trait): RFM.never(trait.source.members)
        case .score(let id):
            [["greaterThan": 0], ["lessThan": 0]].map {
                [ScoreValue.key: .object($0.merging(["id": .string(id)]) { $1 })]
            }
        }
    }

    private static func amounts(_ low: Int64?, _ high: Int64?) -> [String: JSON] {
        switch (low, high) {
        case (let low?, let high?):
            ["between": [Amount(millionths: low + 1).json, Amount(millionths: high).json]]
        case (let low?, nil): ["greaterThan": Amount(millionths: low).json]
        case (nil, let high): ["atMost": Amount(millionths: high ?? .max - 1).json]
        }
    }
}

extension ComputedTraitFold {
    /// What a measure of the events comes to, as `PercentileMeasure` has it; nil of who is not in the population.
    package func measured() -> Int64? {
        var fold = self
        fold.settle()
        let inside = fold.inside(at: now)
        guard let last = inside.last?.at else { return nil }
        switch trait.kind {
        case .count: return Int64(inside.count)
        case .daysSinceLast: return (now - last).milliseconds
        case .minimum: return inside.compactMap(\.extreme).min()?.millionths
        case .maximum: return inside.compactMap(\.extreme).max()?.millionths
        default: return Int64(clamping: inside.reduce(into: Int128(0)) { $0 += $1.total })
        }
    }
}

extension Points {
    /// In millionths, rounded up: what is no more than this has no more points.
    package var millionths: Int64 {
        let (whole, rest) = units.quotientAndRemainder(dividingBy: Int128(Self.scale))
        return Int64(clamping: rest > 0 ? whole + 1 : whole)
    }
}
