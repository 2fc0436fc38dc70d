extension Duration {
    /// Reads `90d`, `48h`, `30m`, `10s`, `250ms` or a compound such as `1d12h`, larger units first.
    package init?(text: String) {
        var total: Int64 = 0
        var previousUnit = Int64.max
        var rest = text.utf8[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0 &- 48 < 10 }
            rest = rest.dropFirst(digits.count)
            let letters = rest.prefix { $0 &- 48 >= 10 }
            rest = rest.dropFirst(letters.count)
            guard digits.count <= 15, let count = Int64(Substring(digits)),
                let unit = Self.units.first(where: { letters.elementsEqual($0.name.utf8) })?.milliseconds,
                unit < previousUnit
            else { return nil }
            let (part, tooLong) = count.multipliedReportingOverflow(by: unit)
            let (sum, overflow) = total.addingReportingOverflow(part)
            guard !tooLong, !overflow else { return nil }
            total = sum
            previousUnit = unit
        }
        self = .milliseconds(total)
    }

    /// The form that `init(text:)` reads, largest units first; `0s` for zero. Parts below 1 ms are cut.
    package var text: String {
        var rest = milliseconds.magnitude
        guard rest > 0 else { return "0s" }
        var text = milliseconds < 0 ? "-" : ""
        for unit in Self.units where rest >= UInt64(unit.milliseconds) {
            text += "\(rest / UInt64(unit.milliseconds))\(unit.name)"
            rest %= UInt64(unit.milliseconds)
        }
        return text
    }

    /// Whole milliseconds, cut towards zero; stops at the bounds of Int64.
    package var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let (sum, overflowed) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return overflow || overflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// `count` minutes.
    package static func minutes(_ count: Int) -> Duration { .seconds(count) * 60 }
    /// `count` hours.
    package static func hours(_ count: Int) -> Duration { .seconds(count) * 3600 }
    /// `count` days of 24 hours.
    package static func days(_ count: Int) -> Duration { .seconds(count) * 86_400 }

    private static var units: [(name: String, milliseconds: Int64)] {
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
    }
}
