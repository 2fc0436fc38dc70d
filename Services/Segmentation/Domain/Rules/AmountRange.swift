import Models

/// What a sum or an average is compared with: `atLeast`, `atMost`, `greaterThan`, `lessThan`, `exactly` or
/// `between: [low, high]`, both included.
package enum AmountRange: Hashable, Sendable {
    case atLeast(Amount)
    case atMost(Amount)
    case greaterThan(Amount)
    case lessThan(Amount)
    case exactly(Amount)
    case between(Amount, Amount)

    static let keys = ["atLeast", "atMost", "greaterThan", "lessThan", "exactly", "between"]

    init(in field: RuleField) throws(RuleProblem) {
        let (key, operand) = try field.one(of: Self.keys)
        switch key {
        case "atLeast": self = .atLeast(try operand.amount())
        case "atMost": self = .atMost(try operand.amount())
        case "greaterThan": self = .greaterThan(try operand.amount())
        case "lessThan": self = .lessThan(try operand.amount())
        case "exactly": self = .exactly(try operand.amount())
        default:
            let bounds = try operand.elements(2...2, of: "numbers")
            let (low, high) = (try bounds[0].amount(), try bounds[1].amount())
            guard low <= high else { throw bounds[1].problem("at least \(low.text)") }
            self = .between(low, high)
        }
    }

    /// Whether a total in millionths passes, shared out over so many; exactly, without dividing.
    func contains(_ total: Int128, over count: Int = 1) -> Bool {
        func bound(_ amount: Amount) -> Int128 { Int128(amount.millionths) * Int128(count) }
        return switch self {
        case .atLeast(let low): total >= bound(low)
        case .atMost(let high): total <= bound(high)
        case .greaterThan(let low): total > bound(low)
        case .lessThan(let high): total < bound(high)
        case .exactly(let value): total == bound(value)
        case .between(let low, let high): total >= bound(low) && total <= bound(high)
        }
    }

    var members: [String: JSON] {
        switch self {
        case .atLeast(let low): ["atLeast": low.json]
        case .atMost(let high): ["atMost": high.json]
        case .greaterThan(let low): ["greaterThan": low.json]
        case .lessThan(let high): ["lessThan": high.json]
        case .exactly(let value): ["exactly": value.json]
        case .between(let low, let high): ["between": [low.json, high.json]]
        }
    }

    /// In words: `at least 10`.
    var text: String {
        switch self {
        case .atLeast(let low): "at least \(low.text)"
        case .atMost(let high): "at most \(high.text)"
        case .greaterThan(let low): "more than \(low.text)"
        case .lessThan(let high): "less than \(high.text)"
        case .exactly(let value): "exactly \(value.text)"
        case .between(let low, let high): "between \(low.text) and \(high.text)"
        }
    }
}

extension RuleField {
    func amount() throws(RuleProblem) -> Amount {
        guard let amount = Amount(json) else { throw problem("a number or a decimal string") }
        return amount
    }
}
