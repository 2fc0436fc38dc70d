package import Models

/// Where a time lies, seen from now. What it says of a value changes as time goes on, at instants that the value tells.
package enum RelativeTime: Hashable, Sendable {
    /// v is in the last W at T if and only if T − W < v ≤ T, as an event is in a window: from v until v + W.
    case last(Duration)
    /// T < v ≤ T + W: from v − W until v.
    case next(Duration)
    /// v ≤ T − W: from v + W on.
    case agoMoreThan(Duration)
    /// v > T + W: until v − W.
    case aheadMoreThan(Duration)

    static let keys = ["withinLast", "withinNext", "moreThanAgo", "moreThanAhead"]

    init(_ key: String, _ length: Duration) {
        switch key {
        case "withinLast": self = .last(length)
        case "withinNext": self = .next(length)
        case "moreThanAgo": self = .agoMoreThan(length)
        default: self = .aheadMoreThan(length)
        }
    }

    /// When it is true of some of the values. Of those that are times only the first `RuleLimits.times` are looked at.
    package func spans(of values: [JSON]) -> Spans {
        var stretches: [Range<Instant>] = []
        var times = 0
        for value in values {
            guard let time = Self.time(value) else { continue }
            stretches += span(of: time).stretches
            times += 1
            if times == RuleLimits.times { break }
        }
        return Spans(stretches: stretches)
    }

    /// The instant that a value names: an RFC 3339 time, or a date, which means its beginning in UTC.
    static func time(_ value: JSON) -> Instant? {
        guard let text = value.string else { return nil }
        if let instant = Instant(rfc3339: text) { return instant }
        return CivilDate(text: text).map { CivilZone.utc.start(of: $0) }
    }

    private func span(of time: Instant) -> Spans {
        switch self {
        case .last(let length): Spans(time, time + length)
        case .next(let length): Spans(time - length, time)
        case .agoMoreThan(let length): Spans(time + length, .distantFuture)
        case .aheadMoreThan(let length): Spans(.distantPast, time - length)
        }
    }

    var member: (key: String, value: JSON) {
        switch self {
        case .last(let length): ("withinLast", .string(length.text))
        case .next(let length): ("withinNext", .string(length.text))
        case .agoMoreThan(let length): ("moreThanAgo", .string(length.text))
        case .aheadMoreThan(let length): ("moreThanAhead", .string(length.text))
        }
    }

    var text: String {
        switch self {
        case .last(let length): "in the last \(length.words)"
        case .next(let length): "in the next \(length.words)"
        case .agoMoreThan(let length): "more than \(length.words) ago"
        case .aheadMoreThan(let length): "more than \(length.words) ahead"
        }
    }
}
