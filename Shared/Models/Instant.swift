/// A point in time with millisecond resolution; RFC 3339 in UTC on the wire.
package struct Instant: Comparable, Hashable, Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    package var milliseconds: Int64

    /// The instant `milliseconds` after 1970-01-01T00:00:00Z.
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// 0001-01-01T00:00:00.000Z, the earliest instant that has a text form.
    package static let distantPast = Instant(milliseconds: -62_135_596_800_000)
    /// 9999-12-31T23:59:59.999Z, the latest instant that has a text form.
    package static let distantFuture = Instant(milliseconds: 253_402_300_799_999)

    package static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }

    /// The instant so many milliseconds later; stops at `distantFuture` and `distantPast` instead of overflowing.
    package func moved(by milliseconds: Int64) -> Instant {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
        if overflow { return milliseconds < 0 ? .distantPast : .distantFuture }
        return Instant(
            milliseconds: min(
                max(sum, Self.distantPast.milliseconds), Self.distantFuture.milliseconds))
    }

    /// The instant `duration` later; stops at `distantFuture` and `distantPast` instead of overflowing.
    package static func + (instant: Instant, duration: Duration) -> Instant {
        instant.moved(by: duration.milliseconds)
    }

    /// The instant `duration` earlier; stops at `distantPast` and `distantFuture` instead of overflowing.
    package static func - (instant: Instant, duration: Duration) -> Instant { instant + (.zero - duration) }

    /// The time from `right` to `left`.
    package static func - (left: Instant, right: Instant) -> Duration {
        let (difference, overflow) = left.milliseconds.subtractingReportingOverflow(right.milliseconds)
        return .milliseconds(overflow ? (left < right ? Int64.min : Int64.max) : difference)
    }
}

extension Instant: CustomStringConvertible {
    package var description: String { rfc3339 }
}

extension Instant: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let instant = Instant(rfc3339: text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "expected an RFC 3339 time, found \"\(text)\"")
        }
        self = instant
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rfc3339)
    }
}
