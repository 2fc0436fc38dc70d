package import Models

/// How long a consent lasts, as ISO 8601 has it: `P13M`, `P1Y6M`, `P2W`, `P90D`, `PT24H`.
package struct ConsentTerm: Hashable, Sendable {
    /// Years and months, by the calendar of UTC.
    package let months: Int64
    /// The rest; a day has 24 hours.
    package let duration: Duration
    /// As it was written.
    package let text: String

    /// Whole numbers alone, each unit once and in their order, at most 9,999 of each; not nothing.
    package init?(_ text: String) {
        var months: Int64 = 0
        var seconds: Int64 = 0
        var rest = text.utf8[...]
        guard rest.popFirst() == UInt8(ascii: "P"), !rest.isEmpty else { return nil }
        // The units of either side of the T, with what they are worth in months or in seconds.
        var units: [(letter: UInt8, months: Int64, seconds: Int64)] = [
            (UInt8(ascii: "Y"), 12, 0), (UInt8(ascii: "M"), 1, 0), (UInt8(ascii: "W"), 0, 604_800),
            (UInt8(ascii: "D"), 0, 86_400),
        ]
        var isTime = false
        while let first = rest.first {
            if first == UInt8(ascii: "T"), !isTime {
                rest = rest.dropFirst()
                isTime = true
                units = [
                    (UInt8(ascii: "H"), 0, 3_600), (UInt8(ascii: "M"), 0, 60), (UInt8(ascii: "S"), 0, 1),
                ]
                guard !rest.isEmpty else { return nil }
                continue
            }
            let digits = rest.prefix { $0 &- 48 < 10 }
            rest = rest.dropFirst(digits.count)
            guard (1...4).contains(digits.count), let count = Int64(Substring(digits)),
                let letter = rest.popFirst(), let index = units.firstIndex(where: { $0.letter == letter })
            else { return nil }
            months += count * units[index].months
            seconds += count * units[index].seconds
            units.removeFirst(index + 1)
        }
        guard months > 0 || seconds > 0 else { return nil }
        self.months = months
        self.duration = .seconds(seconds)
        self.text = text
    }

    /// Whether what was said at `instant` says nothing any more.
    package func hasEnded(since instant: Instant, by now: Instant) -> Bool {
        // No month is shorter: most consents are seen to last without the calendar.
        let least = Int64(28 * 86_400_000) * months
        if duration >= .zero, now.milliseconds - instant.milliseconds < least { return false }
        return now >= end(of: instant)
    }

    /// The instant at which what was said at `instant` says nothing any more. Where the month has no such day, its last.
    package func end(of instant: Instant) -> Instant {
        guard months > 0 else { return instant + duration }
        let length: Int64 = 86_400_000
        let day = instant.milliseconds / length - (instant.milliseconds % length < 0 ? 1 : 0)
        let date = CivilDate(daysSinceEpoch: day)
        let count = date.year * 12 + date.month - 1 + months
        let (year, month) = (count / 12, count % 12 + 1)
        guard year <= 9999 else { return .distantFuture }
        let moved =
            stride(from: date.day, through: 1, by: -1).lazy
            .compactMap { CivilDate(year: year, month: month, day: $0) }.first ?? date
        return instant.moved(by: (moved.daysSinceEpoch - day) * length) + duration
    }
}
