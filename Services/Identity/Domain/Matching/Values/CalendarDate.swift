/// A date as it was written, which need not be a day that there was: typing errors make a 39th of April.
struct CalendarDate: Equatable {
    var year: Int
    var month: Int
    var day: Int

    /// Reads 1971-06-24, 19710624, 24/06/1971, 6/24/71, and anything with a time behind it.
    init?(_ text: String, order: DateOrder = .dayFirst) {
        var parts: [Int] = []
        var digits = 0
        var value = 0
        for byte in text.utf8.prefix(40) {
            if (48...57).contains(byte) {
                value = value * 10 + Int(byte - 48)
                digits += 1
                if digits == 8, parts.isEmpty { break }
                if digits > 8 { return nil }
            } else {
                if digits > 0 { parts.append(value) }
                (digits, value) = (0, 0)
                if parts.count == 3 || byte == UInt8(ascii: "T") { break }
            }
        }
        if digits == 8, parts.isEmpty {
            self.init(year: value / 10_000, month: value / 100 % 100, day: value % 100)
            return
        }
        if digits > 0, parts.count < 3 { parts.append(value) }
        guard parts.count == 3 else { return nil }
        if parts[0] > 99 {
            self.init(year: parts[0], month: parts[1], day: parts[2])
        } else {
            let (day, month) = order == .dayFirst ? (parts[0], parts[1]) : (parts[1], parts[0])
            self.init(year: parts[2] < 100 ? 1900 + parts[2] : parts[2], month: month, day: day)
        }
    }

    private init?(year: Int, month: Int, day: Int) {
        guard year <= 9999, month <= 99, day <= 99 else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
    }

    /// As one word: the eight digits, four bits each, and below them year, month and day.
    var packed: UInt64 {
        var digits: UInt64 = 0
        var rest = year * 10_000 + month * 100 + day
        for place in 0..<UInt64(8) {
            digits |= UInt64(rest % 10) << (place * 4)
            rest /= 10
        }
        return digits << 32 | UInt64(year) << 16 | UInt64(month) << 8 | UInt64(day)
    }

    init(packed: UInt64) {
        (year, month, day) = (Int(packed >> 16 & 0xFFFF), Int(packed >> 8 & 0xFF), Int(packed & 0xFF))
    }

    var digits: String {
        let text = String(year * 10_000 + month * 100 + day)
        return String(repeating: "0", count: max(0, 8 - text.count)) + text
    }

    /// Whether the texts have months where the other order would have days: 06/24/1971.
    static func order(of texts: some Sequence<String?>) -> DateOrder {
        var (dayFirst, monthFirst) = (0, 0)
        for case let text? in texts.prefix(20_000) {
            guard let date = CalendarDate(text) else { continue }
            if date.month > 12 { monthFirst += 1 } else if date.day > 12 { dayFirst += 1 }
        }
        return monthFirst > dayFirst ? .monthFirst : .dayFirst
    }
}
