package import Foundation
package import Models

/// Reads local times of a fixed form, such as `yyyy-MM-dd HH:mm:ss` in Europe/London. Where the clocks
/// go back and a time occurs twice, the first is meant; a time the clocks skip is read as if they had not.
package struct LocalTime: Sendable {
    package let pattern: String
    let zone: TimeZone
    private let parts: [Part]

    private enum Part: Sendable {
        case number(Field, digits: Int)
        case literal(UInt8)
    }

    private enum Field: Character, Sendable {
        case year = "y"
        case month = "M"
        case day = "d"
        case hour = "H"
        case minute = "m"
        case second = "s"
        case fraction = "S"
    }

    /// Nil when the pattern holds a letter other than y, M, d, H, m, s, S or lacks the date.
    package init?(pattern: String, zone: TimeZone) {
        var parts: [Part] = []
        var fields: Set<Field> = []
        for character in pattern {
            if let field = Field(rawValue: character) {
                if case .number(field, let digits)? = parts.last {
                    parts[parts.count - 1] = .number(field, digits: digits + 1)
                } else {
                    guard fields.insert(field).inserted else { return nil }
                    parts.append(.number(field, digits: 1))
                }
            } else if character.isASCII, !character.isLetter, let byte = character.asciiValue {
                parts.append(.literal(byte))
            } else if character == "T", let byte = character.asciiValue {
                parts.append(.literal(byte))
            } else {
                return nil
            }
        }
        guard fields.isSuperset(of: [.year, .month, .day]) else { return nil }
        self.pattern = pattern
        self.zone = zone
        self.parts = parts
    }

    /// The instant of a local time; nil when the text does not have the form or names no day.
    package func instant(_ text: String) -> Instant? {
        var rest = Array(text.utf8)[...]
        var numbers: [Field: Int] = [:]
        for part in parts {
            switch part {
            case .literal(let byte):
                guard rest.popFirst() == byte else { return nil }
            case .number(let field, let digits):
                // One letter stands for one or two digits, more for exactly as many.
                var value = 0
                var count = 0
                while count < max(digits, digits == 1 ? 2 : digits), let byte = rest.first, byte &- 48 < 10 {
                    value = value * 10 + Int(byte - 48)
                    count += 1
                    rest.removeFirst()
                }
                guard count == digits || (digits == 1 && count > 0) else { return nil }
                if field == .fraction { for _ in count..<max(3, count) { value *= 10 } }
                numbers[field] = value
            }
        }
        guard rest.isEmpty else { return nil }
        return instant(of: numbers)
    }

    private func instant(of numbers: [Field: Int]) -> Instant? {
        guard let year = numbers[.year], let month = numbers[.month], let day = numbers[.day],
            (1...9998).contains(year), (1...12).contains(month),
            (1...Self.days(inMonth: month, year: year)).contains(day)
        else { return nil }
        let hour = numbers[.hour] ?? 0
        let minute = numbers[.minute] ?? 0
        let second = numbers[.second] ?? 0
        guard hour < 24, minute < 60, second < 60 else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        let local = Double(((days * 24 + hour) * 60 + minute) * 60 + second)
        let before = zone.secondsFromGMT(for: Date(timeIntervalSince1970: local - 86400))
        let after = zone.secondsFromGMT(for: Date(timeIntervalSince1970: local + 86400))
        var seconds = local - Double(before)
        if before != after {
            // Around a change of the clocks: the offset from before it holds as long as it fits.
            let fits = zone.secondsFromGMT(for: Date(timeIntervalSince1970: seconds)) == before
            if !fits {
                let later = local - Double(after)
                let laterFits = zone.secondsFromGMT(for: Date(timeIntervalSince1970: later)) == after
                if laterFits { seconds = later }
            }
        }
        return Instant(milliseconds: Int64(seconds) * 1000 + Int64(min(numbers[.fraction] ?? 0, 999)))
    }

    private static func days(inMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant's days_from_civil).
    private static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
