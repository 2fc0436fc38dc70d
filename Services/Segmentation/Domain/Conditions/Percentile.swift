package import Models

/// Where somebody stands among all, by the latest edition of a model: `{"percentile": {"model": "spend", "atLeast": 90}}` holds
/// for who has more than 90 % of the people had.
///
/// The edition in force is written into the rule when it is stored (`edition`), as that of `rfm` is, and with each new edition
/// the rule gets another version. In between it is made up of conditions about the measure itself, with the thresholds of the
/// edition, and as exact in time as these. It holds for nobody without an edition, and of a measure of events for nobody who
/// has not done any.
package struct Percentile: EditionOperator {
    package static let key = "percentile"

    package let model: String
    /// From 0 to 99.
    package let percentile: Times
    /// Nil before the rule is stored, and while there is none of the model.
    package let edition: PercentileEdition?
    package let conditions: [Condition]

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["model", "edition"] + Times.keys)
        model = try RFM.model(field.optional("model"))
        percentile = try Times(in: field, upTo: PercentileEdition.count)
        guard percentile.least > 0 || percentile.most ?? PercentileEdition.count < PercentileEdition.count
        else { throw field.problem("a percentile that not everybody has: from 0 to 99") }
        edition = try field.optional("edition").map { field throws(RuleProblem) in
            try PercentileEdition(field)
        }
        var conditions: [Condition] = []
        do {
            for condition in Self.written(edition, percentile) {
                conditions.append(try RuleReader.read(written: condition, at: RulePath()))
            }
        } catch {
            throw field.problem("of an edition that rules can be made of")
        }
        self.conditions = conditions
    }

    private static func written(_ edition: PercentileEdition?, _ percentile: Times) -> [JSON] {
        guard let edition else { return RFM.never(["event": "Order Completed"]) }
        let low = percentile.least == 0 ? nil : edition.thresholds[percentile.least - 1]
        let high = percentile.most.flatMap {
            $0 < PercentileEdition.count ? edition.thresholds[$0] : nil
        }
        return edition.measure.conditions(above: low, upTo: high)
    }

    package var isWithoutEdition: Bool { edition == nil }
    package static let collection = "percentile-models"

    package func text(_ parts: [String]) -> String {
        let words =
            switch (percentile.least, percentile.most) {
            case (let low, nil): "at least \(low)"
            case (0, let high?): "at most \(high)"
            case (let low, let high?): low == high ? "exactly \(low)" : "between \(low) and \(high)"
            }
        return "percentile \(RuleWords.name(model)) \(words)"
    }

    package var json: JSON {
        var members = percentile.members
        members["model"] = .string(model)
        members["edition"] = edition?.json
        return .object(members)
    }
}
