import Models

extension LiquidFilter {
    static let valueFilters: [String: LiquidFilter] = [
        "default": LiquidFilter(0...1, keywords: ["allow_false"]) {
            (value, arguments) throws(LiquidProblem) in
            if value == .bool(false), arguments.keywords["allow_false"]?.isTrue ?? false { return value }
            return value.isEmptyHanded ? arguments[0] ?? .string("") : value
        },
        "date": LiquidFilter(1...1) { (value, arguments) throws(LiquidProblem) in
            let format = arguments.text(0)
            guard !format.isEmpty, let instant = DateText.instant(value, now: arguments.environment.now)
            else {
                return value
            }
            return .string(DateText.format(instant, format))
        },
        "money": LiquidFilter(0...1) { (value, arguments) throws(LiquidProblem) in
            value.isEmptyHanded ? .string("") : .string(MoneyText.format(value, currency: arguments.text(0)))
        },
    ]
}
