package import Models

/// The percentiles of a measure in a population, as they were at an instant.
///
/// They are the values of the people at 1, 2, … 99 % of all, in ascending order. Somebody's percentile is how many of these
/// they have more than: from 0 to 99. So people who have the same have the same percentile, and where many have the same,
/// percentiles are left out.
package struct PercentileEdition: Hashable, Sendable {
    /// Counted up for each model.
    package var number: Int
    package let at: Instant
    /// How many people were compared.
    package let people: Int
    package let measure: PercentileMeasure
    /// 99 of them, rising.
    let thresholds: [Int64]

    /// How many thresholds there are.
    static let count = 99

    package init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["number", "at", "people", "measure", "thresholds"])
        let expected = "an edition as it is answered"
        number = try field.required("number", expected).count(1...Int(Int32.max))
        let written = try field.required("at", expected)
        guard let at = written.json.string.flatMap({ Instant(rfc3339: $0) }) else {
            throw written.problem("an RFC 3339 time")
        }
        self.at = at
        people = try field.required("people", expected).count(1...Int(Int32.max))
        measure = try PercentileMeasure(try field.required("measure", expected))
        let list = try field.required("thresholds", expected)
        var thresholds: [Int64] = []
        for element in try list.elements(Self.count...Self.count, of: "thresholds") {
            thresholds.append(try measure.threshold(element))
        }
        guard thresholds == thresholds.sorted() else { throw list.problem("rising") }
        self.thresholds = thresholds
    }

    /// Of the values of a population, in any order; nil if there is nobody.
    package init?(_ number: Int, of measure: PercentileMeasure, at now: Instant, values: [Int64]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        (self.number, at, people, self.measure) = (number, now, values.count, measure)
        thresholds = (1...Self.count).map {
            measure.threshold(sorted[(sorted.count * $0 + 99) / 100 - 1])
        }
    }

    package var json: JSON {
        [
            "number": .integer(Int64(number)), "at": .string(at.rfc3339), "people": .integer(Int64(people)),
            "measure": measure.json, "thresholds": .array(thresholds.map { measure.json(of: $0) }),
        ]
    }

    /// How many of the thresholds a value is more than.
    package func percentile(of value: Int64) -> Int { thresholds.count { value > $0 } }
}
