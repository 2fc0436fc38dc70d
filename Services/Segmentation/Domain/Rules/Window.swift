package import Models

/// Which events a condition looks at, by their time.
///
/// Every window is open at the front and its end moves forward only: an event is inside from its own instant on, until
/// `end(of:)`, and never again after that. Later events leave no earlier than earlier ones.
package enum Window: Hashable, Sendable {
    /// Everything that ever happened.
    case ever
    /// An event at time t is in the window W at instant T if and only if T − W < t ≤ T. So it leaves exactly at t + W.
    case rolling(Length)
    /// Today and the days before it, so many together, by the calendar of a zone. An event leaves when the day begins
    /// that is so many days after its own, whether the days between have 23, 24 or 25 hours.
    case days(Int, CivilZone)
    /// From an instant on, itself included; nothing ever leaves.
    case since(Start)

    /// How long a rolling window is. An event asks for it in milliseconds many times.
    package struct Length: Hashable, Sendable {
        let milliseconds: Int64

        init(_ duration: Duration) { milliseconds = duration.milliseconds }

        var duration: Duration { .milliseconds(milliseconds) }
    }

    /// A fixed beginning.
    package enum Start: Hashable, Sendable {
        case instant(Instant)
        case date(CivilDate, CivilZone)

        package var instant: Instant {
            switch self {
            case .instant(let instant): instant
            case .date(let date, let zone): zone.start(of: date)
            }
        }
    }

    /// When an event at `instant` is in the window no longer; `distantFuture` for never, and the distant past for
    /// what was never inside.
    func end(of instant: Instant) -> Instant {
        switch self {
        case .ever: .distantFuture
        case .rolling(let length): instant.moved(by: length.milliseconds)
        case .days(let count, let zone): zone.start(ofDay: zone.day(of: instant) + Int64(count))
        case .since(let start): instant < start.instant ? .distantPast : .distantFuture
        }
    }

    /// Whether an event at `instant`, which is not after `now`, is in the window then.
    func contains(_ instant: Instant, at now: Instant) -> Bool { instant >= beginning(at: now) }

    /// The earliest time that is in the window at `now`.
    func beginning(at now: Instant) -> Instant {
        switch self {
        case .ever: .distantPast
        case .rolling(let length): now.moved(by: 1 - length.milliseconds)
        case .days(let count, let zone): zone.start(ofDay: zone.day(of: now) - Int64(count) + 1)
        case .since(let start): start.instant
        }
    }

    /// The index of the first event in the window at `now`.
    func firstIndex(of occurrences: [Occurrence], at now: Instant) -> Int {
        if case .ever = self { return 0 }
        let beginning = beginning(at: now)
        var low = 0
        var high = occurrences.count
        while low < high {
            let middle = (low + high) / 2
            if occurrences[middle].at < beginning { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether events leave it.
    var moves: Bool {
        switch self {
        case .ever, .since: false
        case .rolling, .days: true
        }
    }

    /// The longest time that an event can be inside; nil if there is no end to it. A day may have 25 hours.
    var longest: Duration? {
        switch self {
        case .ever, .since: nil
        case .rolling(let length): length.duration
        case .days(let count, _): .days(count) + .hours(2)
        }
    }
}

extension Window {
    package static let keys = ["within", "since"]

    /// Reads `"within": "48h"`, `"within": {"days": 7, "zone": "Europe/Berlin"}`, `"since": "2026-01-01T00:00:00Z"` or
    /// `"since": {"date": "2026-01-01", "zone": "Europe/Berlin"}`; none of them means ever.
    init(in field: RuleField) throws(RuleProblem) {
        switch (field.optional("within"), field.optional("since")) {
        case (nil, nil): self = .ever
        case (let within?, nil): self = try Self.within(within)
        case (nil, let since?): self = .since(try Start(since))
        case (_?, let since?): throw since.problem("either \"within\" or \"since\", not both")
        }
    }

    private static func within(_ field: RuleField) throws(RuleProblem) -> Window {
        guard field.json.object != nil else { return .rolling(Length(try field.window())) }
        try field.allow(["days", "zone"])
        let longest = Int(RuleLimits.window.milliseconds / 86_400_000)
        let days = try field.required("days", "how many calendar days, today included").count(1...longest)
        return .days(days, try field.zone())
    }

    /// The members that say this.
    package var members: [String: JSON] {
        switch self {
        case .ever: [:]
        case .rolling(let length): ["within": .string(length.duration.text)]
        case .days(let count, let zone):
            ["within": ["days": .integer(Int64(count)), "zone": .string(zone.name)]]
        case .since(let start): ["since": start.json]
        }
    }

    /// Words behind what it is about, with a space before them: ` in 2 days`.
    package var text: String {
        switch self {
        case .ever: ""
        case .rolling(let length): " in \(length.duration.words)"
        case .days(let count, let zone):
            " in \(count) calendar \(count == 1 ? "day" : "days") in \(zone.name)"
        case .since(let start): " since \(start.text)"
        }
    }
}

extension Window.Start {
    init(_ field: RuleField) throws(RuleProblem) {
        if let text = field.json.string {
            guard let instant = Instant(rfc3339: text) else {
                throw field.problem("an RFC 3339 time, or an object with \"date\" and \"zone\"")
            }
            self = .instant(instant)
            return
        }
        try field.allow(["date", "zone"])
        let date = try field.required("date", "a date such as \"2026-01-31\"")
        guard let day = date.json.string.flatMap({ CivilDate(text: $0) }) else {
            throw date.problem("a date such as \"2026-01-31\"")
        }
        self = .date(day, try field.zone())
    }

    var json: JSON {
        switch self {
        case .instant(let instant): .string(instant.rfc3339)
        case .date(let date, let zone): ["date": .string(date.text), "zone": .string(zone.name)]
        }
    }

    var text: String {
        switch self {
        case .instant(let instant): instant.rfc3339
        case .date(let date, let zone): "\(date.text) in \(zone.name)"
        }
    }
}

extension RuleField {
    /// The zone of the member `zone`.
    func zone() throws(RuleProblem) -> CivilZone {
        let expected = "a time zone of the IANA database such as \"Europe/Berlin\", or \"UTC\""
        let field = try required("zone", expected)
        guard let zone = field.json.string.flatMap({ CivilZone(name: $0) }) else {
            throw field.problem(expected)
        }
        return zone
    }
}

extension Duration {
    /// In words: `1 day 12 hours`.
    var words: String {
        let units: [(name: String, milliseconds: Int64)] = [
            ("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000),
            ("millisecond", 1),
        ]
        var rest = milliseconds
        var words: [String] = []
        for unit in units where rest >= unit.milliseconds {
            let count = rest / unit.milliseconds
            words.append("\(count) \(unit.name)\(count == 1 ? "" : "s")")
            rest %= unit.milliseconds
        }
        return words.isEmpty ? "0 seconds" : words.joined(separator: " ")
    }
}
