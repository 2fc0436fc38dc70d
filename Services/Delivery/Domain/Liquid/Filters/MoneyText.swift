/// Amounts as people read them: £1,234.50, ¥500, 12.00 CHF.
enum MoneyText {
    private static let signs = [
        "GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "KRW": "₩", "CAD": "CA$", "AUD": "A$",
    ]
    /// ISO 4217: the currencies that don't have two decimals.
    private static let decimals = [
        "JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "TND": 3, "JOD": 3,
    ]

    static func format(_ value: LiquidValue, currency: String) -> String {
        let code = currency.uppercased()
        let places = decimals[code] ?? 2
        let scale = LiquidNumber.integer([1, 10, 100, 1000][places])
        guard case .integer(let units) = (LiquidNumber(value) * scale).rounded(.toNearestOrAwayFromZero)
        else {
            return value.text
        }
        var digits = String(units.magnitude)
        digits = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
        let whole = digits.dropLast(places)
        var text = ""
        for (index, digit) in whole.enumerated() {
            if index > 0, (whole.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        if places > 0 { text += "." + digits.suffix(places) }
        let minus = units < 0 ? "-" : ""
        if let sign = signs[code] { return minus + sign + text }
        return minus + text + (code.isEmpty ? "" : " " + code)
    }
}
