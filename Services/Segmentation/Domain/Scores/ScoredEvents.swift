import Models

/// One kind of event of a score: what each is worth, and how much of it counts.
///
/// `{"event": "Product Viewed", "weight": 1, "perDay": 5, "cap": 20}`, with `type` and `where` as in conditions.
package struct ScoredEvents: Hashable, Sendable {
    package let events: EventSelector
    /// The points of each event; less than none for what speaks against somebody.
    package let weight: Amount
    /// How many of a calendar day count: the first of them.
    package let perDay: Int?
    /// What all of them together never go beyond, either way: an event that would adds less, and from there it decays.
    package let cap: Amount?

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + ["weight", "perDay", "cap"])
        events = try EventSelector(field)
        guard !events.isTimed else {
            throw RuleProblem(
                field.path.appending("where"), expected: "filters without times relative to the present")
        }
        let most = ScoreLimits.weight
        let expected = "how many points an event is worth, from -\(most.text) to \(most.text) and not 0"
        let weight = try field.required("weight", expected)
        guard let points = Amount(weight.json), points.millionths != 0,
            points.millionths.magnitude <= most.millionths.magnitude
        else { throw weight.problem(expected) }
        self.weight = points
        perDay = try field.optional("perDay").map { field throws(RuleProblem) in
            try field.count(1...ScoreLimits.perDay)
        }
        cap = try field.optional("cap").map { field throws(RuleProblem) in try field.positivePoints() }
    }

    /// The points that an event is worth, or less where the cap is less.
    var reach: Points { max(Points(magnitude), cap.map { Points($0) } ?? .zero) }

    /// The weight without its sign.
    var magnitude: Amount { Amount(millionths: abs(weight.millionths)) }

    var json: JSON {
        var members = events.members
        members["weight"] = weight.json
        members["perDay"] = perDay.map { .integer(Int64($0)) }
        members["cap"] = cap?.json
        return .object(members)
    }

    /// In words: `1 for "Product Viewed", 5 a day at most, 20 in all`.
    package var text: String {
        let daily = perDay.map { ", \($0) a day at most" } ?? ""
        let all = cap.map { ", \($0.text) in all" } ?? ""
        return "\(weight.text) for \(events.text)\(daily)\(all)"
    }
}

/// How large a score may be.
package enum ScoreLimits {
    /// The most kinds of events.
    package static let events = 20
    /// The most points of one event.
    package static let weight = Amount(millionths: 1_000_000_000_000)
    /// The highest cap and maximum.
    package static let points = Amount(millionths: 1_000_000_000_000_000)
    package static let perDay = 1_000
    /// The most events of one kind that count, in one profile: the latest. Where a day has a limit, those of so many
    /// days that there are no more.
    package static let occurrences = RuleLimits.occurrences
}

extension RuleField {
    /// A number of points above 0.
    func positivePoints() throws(RuleProblem) -> Amount {
        guard let amount = Amount(json), amount.millionths > 0, amount <= ScoreLimits.points else {
            throw problem("a number above 0, up to \(ScoreLimits.points.text)")
        }
        return amount
    }
}
