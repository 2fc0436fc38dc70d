import Models

/// How often: `atLeast`, `atMost`, `exactly` or `between: [low, high]`, both included.
package struct Times: Hashable, Sendable {
    static let keys = ["atLeast", "atMost", "exactly", "between"]

    package let least: Int
    /// Nil for "at least".
    package let most: Int?

    package init(least: Int, most: Int?) {
        self.least = least
        self.most = most
    }

    /// Reads one of the members; `fallback` if there is none.
    init(in field: RuleField, upTo limit: Int = RuleLimits.count, fallback: Times? = nil) throws(RuleProblem)
    {
        if let fallback, !Self.keys.contains(where: { field.optional($0) != nil }) {
            self = fallback
            return
        }
        let (key, operand) = try field.one(of: Self.keys)
        switch key {
        case "atLeast": self.init(least: try operand.count(0...limit), most: nil)
        case "atMost": self.init(least: 0, most: try operand.count(0...limit))
        case "exactly":
            let times = try operand.count(0...limit)
            self.init(least: times, most: times)
        default:
            let bounds = try operand.elements(2...2, of: "numbers")
            let low = try bounds[0].count(0...limit)
            self.init(least: low, most: try bounds[1].count(low...limit))
        }
    }

    func contains(_ count: Int) -> Bool { count >= least && count <= most ?? .max }

    /// How many the answer can depend on.
    var needed: Int { most.map { $0 + 1 } ?? max(1, least) }

    var members: [String: JSON] {
        switch (least, most) {
        case (let low, nil): ["atLeast": .integer(Int64(low))]
        case (0, let high?): ["atMost": .integer(Int64(high))]
        case (let low, let high?):
            low == high
                ? ["exactly": .integer(Int64(low))]
                : ["between": [.integer(Int64(low)), .integer(Int64(high))]]
        }
    }

    /// In words: `at least 3 times`, with the noun for one and for several.
    func words(_ one: String, _ several: String) -> String {
        func counted(_ count: Int) -> String { "\(count) \(count == 1 ? one : several)" }
        return switch (least, most) {
        case (let low, nil): "at least \(counted(low))"
        case (0, let high?): "at most \(counted(high))"
        case (let low, let high?):
            low == high ? "exactly \(counted(low))" : "between \(low) and \(counted(high))"
        }
    }
}
