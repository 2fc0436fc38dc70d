extension LiquidFilter {
    static let numberFilters: [String: LiquidFilter] = [
        "plus": binary { (left, right) throws(LiquidProblem) in left + right },
        "minus": binary { (left, right) throws(LiquidProblem) in left + -right },
        "times": binary { (left, right) throws(LiquidProblem) in left * right },
        "divided_by": binary { (left, right) throws(LiquidProblem) in try left / right },
        "modulo": binary { (left, right) throws(LiquidProblem) in try left % right },
        "at_least": binary { (left, right) throws(LiquidProblem) in left < right ? right : left },
        "at_most": binary { (left, right) throws(LiquidProblem) in right < left ? right : left },
        "abs": unary { $0 < .integer(0) ? -$0 : $0 },
        "ceil": unary { $0.rounded(.up) },
        "floor": unary { $0.rounded(.down) },
        "round": LiquidFilter(0...1) { (value, arguments) throws(LiquidProblem) in
            let number = LiquidNumber(value)
            let places = arguments[0].map { LiquidNumber($0).rounded(.down) } ?? .integer(0)
            guard case .integer(let count) = places, count > 0, case .double(let double) = number else {
                return number.rounded(.toNearestOrAwayFromZero).value
            }
            let scale = (0..<min(count, 15)).reduce(1.0) { product, _ in product * 10 }
            let scaled = (double * scale).rounded(.toNearestOrAwayFromZero)
            return .double(scaled.isFinite ? scaled / scale : double)
        },
    ]

    private static func unary(_ body: @escaping @Sendable (LiquidNumber) -> LiquidNumber) -> LiquidFilter {
        LiquidFilter { (value, _) throws(LiquidProblem) in body(LiquidNumber(value)).value }
    }

    private static func binary(
        _ body: @escaping @Sendable (LiquidNumber, LiquidNumber) throws(LiquidProblem) -> LiquidNumber
    ) -> LiquidFilter {
        LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            let right = arguments[0] ?? .null
            // `5 | at_least: nothing` is 5, and so is `5 | plus: nothing`.
            return try body(LiquidNumber(value), LiquidNumber(right)).value
        }
    }
}
