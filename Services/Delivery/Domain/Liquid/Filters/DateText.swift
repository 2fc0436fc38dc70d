import Models

/// Reads and writes dates as `strftime` does, in UTC and English.
enum DateText {
    static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ]
    static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// `now`, seconds since 1970, RFC 3339, `2026-11-21`, `2026-11-21 10:30[:00]`, `March 14, 2016`.
    static func instant(_ value: LiquidValue, now: Instant) -> Instant? {
        if case .integer(let seconds) = value { return instant(seconds: seconds) }
        guard let text = value.string?.trimmed(start: true, end: true), !text.isEmpty else { return nil }
        if text == "now" || text == "today" { return now }
        if let instant = Instant(rfc3339: text) { return instant }
        if text.utf8.allSatisfy(\.isLiquidDigit), let seconds = Int64(text) {
            return instant(seconds: seconds)
        }
        for ending in ["T00:00:00Z", "Z", ":00Z"] {
            let candidate = ending.hasPrefix("T") ? text + ending : text.replacingFirstBlank + ending
            if let instant = Instant(rfc3339: candidate) { return instant }
        }
        return written(text)
    }

    private static func instant(seconds: Int64) -> Instant? {
        // Years 1 to 9999.
        guard (-62_135_596_800...253_402_300_799).contains(seconds) else { return nil }
        return Instant(milliseconds: seconds * 1000)
    }

    private static func written(_ text: String) -> Instant? {
        let words = text.split { $0 == " " || $0 == "," }
        guard words.count == 3 else { return nil }
        let (first, second) = Int(words[0]) == nil ? (words[0], words[1]) : (words[1], words[0])
        guard let month = months.firstIndex(where: { $0.hasPrefix(first) && first.count >= 3 }),
            let day = Int(second), (1...31).contains(day), let year = Int(words[2]), (1...9999).contains(year)
        else { return nil }
        let two = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        let padded = String(repeating: "0", count: 4 - String(year).count) + String(year)
        return Instant(rfc3339: "\(padded)-\(two(month + 1))-\(two(day))T00:00:00Z")
    }

    static func format(_ instant: Instant, _ format: String) -> String {
        let time = CivilTime(instant)
        var result = ""
        var rest = format[...]
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            rest = rest[rest.index(after: percent)...]
            var flag: Character?
            if let first = rest.first, "-_0^".contains(first) {
                flag = first
                rest.removeFirst()
            }
            guard let letter = rest.popFirst() else {
                result += "%"
                break
            }
            result += part(letter, flag, time, instant)
        }
        return result + rest
    }

    private static func part(_ letter: Character, _ flag: Character?, _ time: CivilTime, _ instant: Instant)
        -> String
    {
        func number(_ value: Int, _ width: Int, pad: Character = "0") -> String {
            let digits = String(value)
            let filler = flag == "0" ? "0" : flag == "_" ? " " : pad
            return flag == "-"
                ? digits : String(repeating: filler, count: max(0, width - digits.count)) + digits
        }
        func word(_ text: String) -> String { flag == "^" ? text.uppercased() : text }
        let hour12 = time.hour % 12 == 0 ? 12 : time.hour % 12
        switch letter {
        case "Y": return number(time.year, 4)
        case "y": return number(time.year % 100, 2)
        case "C": return number(time.year / 100, 2)
        case "m": return number(time.month, 2)
        case "d": return number(time.day, 2)
        case "e": return number(time.day, 2, pad: " ")
        case "j": return number(time.dayOfYear, 3)
        case "H": return number(time.hour, 2)
        case "k": return number(time.hour, 2, pad: " ")
        case "I": return number(hour12, 2)
        case "l": return number(hour12, 2, pad: " ")
        case "M": return number(time.minute, 2)
        case "S": return number(time.second, 2)
        case "L": return number(time.millisecond, 3)
        case "s": return String((instant.milliseconds - Int64(time.millisecond)) / 1000)
        case "B": return word(months[time.month - 1])
        case "b", "h": return word(String(months[time.month - 1].prefix(3)))
        case "A": return word(weekdays[time.weekday])
        case "a": return word(String(weekdays[time.weekday].prefix(3)))
        case "u": return String(time.weekday == 0 ? 7 : time.weekday)
        case "w": return String(time.weekday)
        case "p": return time.hour < 12 ? "AM" : "PM"
        case "P": return time.hour < 12 ? "am" : "pm"
        case "Z": return "UTC"
        case "z": return "+0000"
        case "F": return format(instant, "%Y-%m-%d")
        case "T", "X": return format(instant, "%H:%M:%S")
        case "R": return format(instant, "%H:%M")
        case "D", "x": return format(instant, "%m/%d/%y")
        case "c": return format(instant, "%a %b %e %H:%M:%S %Y")
        case "n": return "\n"
        case "t": return "\t"
        case "%": return "%"
        default: return "%" + String(letter)
        }
    }
}

extension String {
    /// `2026-11-21 10:30` with the T that RFC 3339 wants.
    fileprivate var replacingFirstBlank: String {
        guard let blank = firstIndex(of: " ") else { return self }
        return self[..<blank] + "T" + self[index(after: blank)...]
    }
}
