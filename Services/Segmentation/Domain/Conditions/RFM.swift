package import Models

/// Where somebody stands among all who have ordered, by the latest edition of a model: in a named segment,
/// `{"rfm": {"model": "default", "segment": "Champions"}}`, or with scores from 1 to 5,
/// `{"rfm": {"recency": {"atLeast": 4}, "monetary": {"between": [2, 3]}}}`.
///
/// The edition in force is written into the rule when it is stored (`edition`), and with each new edition the rule gets another
/// version.
/// In between it is made up of conditions about the orders themselves, with the thresholds of the edition: how many there
/// were, how long ago the last one was, and their total. So it is as exact in time as these. It does not hold for who has not
/// ordered, nor without an edition.
package struct RFM: EditionOperator {
    package static let key = "rfm"
    /// The model where none is named.
    package static let defaultModel = "default"

    package let model: String
    package let segment: RFMSegment?
    package let recency: Times?
    package let frequency: Times?
    package let monetary: Times?
    /// Nil before the rule is stored, and while there is none of the model.
    package let edition: RFMEdition?
    package let conditions: [Condition]

    private static let best = 5

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["model", "segment", "recency", "frequency", "monetary", "edition"])
        model = try Self.model(field.optional("model"))
        segment = try Self.segment(field.optional("segment"))
        recency = try Self.scores(field.optional("recency"))
        frequency = try Self.scores(field.optional("frequency"))
        monetary = try Self.scores(field.optional("monetary"))
        let hasScores = recency != nil || frequency != nil || monetary != nil
        guard hasScores != (segment != nil) else {
            throw field.problem(
                "either \"segment\", or scores of \"recency\", \"frequency\" and \"monetary\"")
        }
        edition = try field.optional("edition").map { field throws(RuleProblem) in try RFMEdition(field) }
        let written = Self.written(
            edition, recency: segment?.recency ?? Self.range(recency),
            frequency: segment?.frequency ?? Self.range(frequency), monetary: Self.range(monetary))
        var conditions: [Condition] = []
        do {
            for condition in written {
                conditions.append(try RuleReader.read(written: condition, at: RulePath()))
            }
        } catch {
            throw field.problem("of an edition that rules can be made of")
        }
        self.conditions = conditions
    }

    /// The id of a model, or else the usual one.
    package static func model(_ field: RuleField?) throws(RuleProblem) -> String {
        guard let field else { return defaultModel }
        guard let id = field.json.string, SegmentDefinition.isValid(id: id) else {
            throw field.problem("the id of a model: 1 to 64 lower-case letters, digits and hyphens")
        }
        return id
    }

    private static func segment(_ field: RuleField?) throws(RuleProblem) -> RFMSegment? {
        guard let field else { return nil }
        guard let segment = field.json.string.flatMap({ RFMSegment(rawValue: $0) }) else {
            throw field.problem("one of \(RFMSegment.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return segment
    }

    private static func scores(_ field: RuleField?) throws(RuleProblem) -> Times? {
        guard let field else { return nil }
        try field.allow(Times.keys)
        let times = try Times(in: field, upTo: best)
        guard times.most ?? best >= 1 else { throw field.problem("scores from 1 to \(best)") }
        return times
    }

    private static func range(_ times: Times?) -> ClosedRange<Int> {
        guard let times else { return 1...best }
        let most = times.most ?? best
        return min(max(1, times.least), most)...most
    }

    // MARK: Compiling

    private static func written(
        _ edition: RFMEdition?, recency: ClosedRange<Int>, frequency: ClosedRange<Int>,
        monetary: ClosedRange<Int>
    ) -> [JSON] {
        guard let edition else { return never(["event": "Order Completed"]) }
        let source = edition.orders.source
        guard let often = often(edition, frequency), let recent = recent(edition, recency),
            let spent = spent(edition, monetary)
        else { return never(source.members) }
        var written: [JSON] = [["count": .object(source.members.merging(often) { $1 })]]
        if let recent {
            // The last of those in the window is the last of all.
            written.append(["last": .object(source.events.members.merging(["ago": recent]) { $1 })])
        }
        if let spent, let property = edition.orders.property {
            written.append([
                "sum": .object(
                    source.members.merging(["property": .string(property.text)]) { $1 }.merging(spent) { $1 })
            ])
        }
        return written
    }

    static func never(_ members: [String: JSON]) -> [JSON] {
        [["atLeast": 1], ["atMost": 0]].map { ["count": .object(members.merging($0) { $1 })] }
    }

    // Each of these says what the scores ask for; nil for what nobody can have.

    private static func often(_ edition: RFMEdition, _ scores: ClosedRange<Int>) -> [String: JSON]? {
        let low = scores.lowerBound == 1 ? 1 : max(1, edition.frequency[scores.lowerBound - 2] + 1)
        guard scores.upperBound < best else { return ["atLeast": .integer(Int64(low))] }
        let high = edition.frequency[scores.upperBound - 1]
        return low <= high ? ["between": [.integer(Int64(low)), .integer(Int64(high))]] : nil
    }

    private static func recent(_ edition: RFMEdition, _ scores: ClosedRange<Int>) -> JSON?? {
        let high = scores.lowerBound == 1 ? nil : edition.recency[scores.lowerBound - 2]
        var low = scores.upperBound == best ? nil : edition.recency[scores.upperBound - 1]
        if low == .zero { low = nil }
        if let high, high <= low ?? .zero { return nil }
        switch (low, high) {
        case (nil, nil): return .some(nil)
        case (let low?, nil): return ["atLeast": .string(low.text)]
        case (nil, let high?): return ["lessThan": .string(high.text)]
        case (let low?, let high?): return ["between": [.string(low.text), .string(high.text)]]
        }
    }

    private static func spent(_ edition: RFMEdition, _ scores: ClosedRange<Int>) -> [String: JSON]?? {
        let above = scores.lowerBound == 1 ? nil : edition.monetary[scores.lowerBound - 2]
        let high = scores.upperBound == best ? nil : edition.monetary[scores.upperBound - 1]
        switch (above, high) {
        case (nil, nil): return .some(nil)
        case (let above?, nil): return ["greaterThan": above.json]
        case (nil, let high?): return ["atMost": high.json]
        case (let above?, let high?):
            guard above < high else { return nil }
            return ["between": [Amount(millionths: above.millionths + 1).json, high.json]]
        }
    }

    package var isWithoutEdition: Bool { edition == nil }
    package static let collection = "rfm-models"

    // MARK: Writing

    package func text(_ parts: [String]) -> String {
        let name = RuleWords.name(model)
        if let segment { return "rfm \(name) is \(JSON.string(segment.rawValue).compact)" }
        let scores = [("recency", recency), ("frequency", frequency), ("monetary", monetary)].compactMap {
            what, times in times.map { "\(what) \(Self.words($0))" }
        }
        return "rfm \(name) \(scores.joined(separator: " "))"
    }

    private static func words(_ times: Times) -> String {
        switch (times.least, times.most) {
        case (let low, nil): "at least \(low)"
        case (0, let high?): "at most \(high)"
        case (let low, let high?): low == high ? "exactly \(low)" : "between \(low) and \(high)"
        }
    }

    package var json: JSON {
        var members: [String: JSON] = ["model": .string(model)]
        members["segment"] = segment.map { .string($0.rawValue) }
        members["recency"] = recency.map { .object($0.members) }
        members["frequency"] = frequency.map { .object($0.members) }
        members["monetary"] = monetary.map { .object($0.members) }
        members["edition"] = edition?.json
        return .object(members)
    }
}

extension Condition {
    /// The same rule by a new edition of a model.
    package func by(_ edition: RFMEdition, of changed: String) throws(InvalidRule) -> Condition {
        try byEditions { kind, model, old in kind == .rfm && model == changed ? edition.json : old }
    }
}
