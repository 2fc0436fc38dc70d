import Foundation

/// A time zone of the IANA database, as far as calendar days need it: which day an instant is in, and when a day
/// begins. The rules are those that Foundation carries; nothing is read from the machine.
///
/// A day begins at the first instant whose local date is that day or a later one: at 00:00, or, where the clocks skip
/// that, at the first time after it. Where the clocks go back over midnight the day does not begin twice. A day that a
/// place skipped wholly (30 December 2011 in Samoa) has no length.
package struct CivilZone: Hashable, Sendable {
    /// The name as it was given: `Europe/Berlin`, `UTC`.
    package let name: String
    private let zone: TimeZone

    /// Coordinated universal time.
    package static let utc = CivilZone(name: "UTC", zone: .gmt)

    private init(name: String, zone: TimeZone) {
        self.name = name
        self.zone = zone
    }

    /// The zone of that name; nil if there is none. Of the names without a slash only `UTC` is one, since
    /// abbreviations mean several places and fixed offsets none.
    package init?(name: String) {
        if name == "UTC" {
            self = .utc
        } else {
            guard name.utf8.count <= 64, name.utf8.contains(UInt8(ascii: "/")),
                let zone = TimeZone(identifier: name)
            else { return nil }
            self.init(name: name, zone: zone)
        }
    }

    package static func == (left: CivilZone, right: CivilZone) -> Bool { left.name == right.name }
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// The day that an instant is in, counted from 1970-01-01.
    package func day(of instant: Instant) -> Int64 {
        let seconds = Self.floored(instant.milliseconds, by: 1000)
        let day = Self.floored(seconds + offset(at: seconds), by: Self.dayLength)
        // Where the clocks went back over midnight, the date has been the next one before.
        return start(ofDay: day + 1) <= instant ? day + 1 : day
    }

    /// When a day begins; stops at the bounds of `Instant`.
    package func start(ofDay day: Int64) -> Instant {
        let (first, last) = (Int64(-719_162), Int64(2_932_896))
        guard day >= first else { return .distantPast }
        guard day <= last else { return .distantFuture }
        let local = day * Self.dayLength
        let before = offset(at: local - Self.dayLength)
        let after = offset(at: local + Self.dayLength)
        var seconds = local - before
        if before != after {
            let change = change(between: local - Self.dayLength, and: local + Self.dayLength)
            if seconds >= change { seconds = max(change, local - after) }
        }
        return Instant(milliseconds: seconds * 1000)
    }

    /// When a date begins here.
    package func start(of date: CivilDate) -> Instant { start(ofDay: date.daysSinceEpoch) }

    /// The first second after `low` and up to `high` that has the offset of `high`.
    private func change(between low: Int64, and high: Int64) -> Int64 {
        var (low, high) = (low, high)
        let after = offset(at: high)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(at: middle) == after { high = middle } else { low = middle }
        }
        return high
    }

    /// Seconds east of Greenwich.
    private func offset(at seconds: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
    }

    private static let dayLength: Int64 = 86_400

    private static func floored(_ value: Int64, by divisor: Int64) -> Int64 {
        value / divisor - (value % divisor < 0 ? 1 : 0)
    }
}
