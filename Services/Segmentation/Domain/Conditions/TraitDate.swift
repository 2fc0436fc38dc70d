package import Models

/// How many days away the date in a trait is, by the calendar of a zone:
/// `{"date": {"trait": "birthday", "zone": "Europe/Berlin", "yearly": true}}`,
/// `{"date": {"trait": "trialEnds", "zone": "UTC", "ahead": {"atMost": 3}}}`.
///
/// `ahead` counts the days until it, `ago` those since; without either it is today. With `yearly` it is the next
/// anniversary that is ahead: the date itself is none, and of 29 February it is 1 March where there is none. The trait
/// holds a date such as `1990-02-28`, or a time, of which its date in the zone counts; of a yearly one the date as it is
/// written. It does not hold without a date.
package struct TraitDate: LeafOperator {
    package static let key = "date"
    /// As far as windows reach.
    private static let longest = Int(RuleLimits.window.milliseconds / 86_400_000)
    private static let today = Times(least: 0, most: 0)

    package let trait: TraitReading
    package let zone: CivilZone
    package let isYearly: Bool
    /// How many days it has to be ahead, or ago.
    package let days: Times
    package let isAgo: Bool

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["trait", "zone", "yearly", "ahead", "ago"])
        trait = TraitReading(path: try PropertyPath(field.required("trait", "the trait with the date")))
        zone = try field.zone()
        if let yearly = field.optional("yearly") {
            guard let flag = yearly.json.bool else { throw yearly.problem("true or false") }
            isYearly = flag
        } else {
            isYearly = false
        }
        switch (field.optional("ahead"), field.optional("ago")) {
        case (nil, nil): (days, isAgo) = (Self.today, false)
        case (let ahead?, nil): (days, isAgo) = (try Self.days(ahead), false)
        case (nil, let ago?):
            guard !isYearly else { throw ago.problem("\"ahead\" where it is yearly") }
            (days, isAgo) = (try Self.days(ago), true)
        case (_?, let ago?): throw ago.problem("either \"ahead\" or \"ago\", not both")
        }
    }

    private static func days(_ field: RuleField) throws(RuleProblem) -> Times {
        try field.allow(Times.keys)
        return try Times(in: field, upTo: longest)
    }

    package var keeps: String? { nil }
    package var interest: Interest { .trait(trait.path.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        trait.remember(event, at: instant, in: &memory)
    }

    private func date(_ memory: Memory) -> CivilDate? {
        guard let text = trait.values(memory).first?.string else { return nil }
        if text.utf8.count == 10 { return CivilDate(text: text) }
        guard let instant = Instant(rfc3339: text) else { return nil }
        return isYearly
            ? CivilDate(text: String(text.prefix(10))) : CivilDate(daysSinceEpoch: zone.day(of: instant))
    }

    /// How many days after `today` the date is, or its next anniversary.
    private func distance(to date: CivilDate, from today: Int64) -> Int64 {
        guard isYearly else { return date.daysSinceEpoch - today }
        var years = max(1, CivilDate(daysSinceEpoch: today).year - date.year)
        if date.anniversary(years) < today { years += 1 }
        return date.anniversary(years) - today
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        guard let date = date(memory) else { return false }
        let distance = distance(to: date, from: zone.day(of: instant))
        return days.contains(Int(clamping: isAgo ? -distance : distance))
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        guard let date = date(memory) else { return nil }
        return changes(of: date, around: zone.day(of: instant)).map { zone.start(ofDay: $0) }
            .filter { $0 > instant }.min()
    }

    /// The days with which it begins or ceases to hold, of a yearly one those around a day.
    private func changes(of date: CivilDate, around today: Int64) -> [Int64] {
        guard isYearly else {
            let day = date.daysSinceEpoch
            let (near, far) = (Int64(days.least), days.most.map { Int64($0) })
            return isAgo
                ? [day + near] + (far.map { [day + $0 + 1] } ?? [])
                : [day - near + 1] + (far.map { [day - $0] } ?? [])
        }
        let year = CivilDate(daysSinceEpoch: today).year - date.year
        return (max(0, year - 1)...max(0, year) + 2).flatMap { years in
            // Behind each anniversary the next one is what is ahead.
            let day = date.anniversary(years)
            return [day + 1, day - Int64(days.least) + 1] + (days.most.map { [day - Int64($0)] } ?? [])
        }
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = [:]
        var finding = Finding(text: "there is no date")
        if let date = date(memory) {
            let distance = distance(to: date, from: zone.day(of: instant))
            details["date"] = .string(date.text)
            details[distance < 0 ? "daysAgo" : "daysAhead"] = .integer(abs(distance))
            let count = "\(abs(distance)) \(abs(distance) == 1 ? "day" : "days")"
            finding = Finding(
                text: distance == 0 ? "it is today" : "it is \(count) \(distance < 0 ? "ago" : "ahead")")
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: trait.source(memory), details: details
        )
        .with(finding)
    }

    package var text: String {
        let away = "\(days.words("day", "days")) \(isAgo ? "ago" : "ahead")"
        return "date of \(trait.path.words) is \(isToday ? "today" : away) in \(zone.name)"
            + (isYearly ? " every year" : "")
    }

    private var isToday: Bool { days == Self.today && !isAgo }

    package var json: JSON {
        var members: [String: JSON] = ["trait": .string(trait.path.text), "zone": .string(zone.name)]
        if isYearly { members["yearly"] = true }
        if !isToday { members[isAgo ? "ago" : "ahead"] = .object(days.members) }
        return .object(members)
    }
}

extension CivilDate {
    /// The day, since 1970, on which so many years have gone by: of 29 February it is 1 March where there is none.
    func anniversary(_ years: Int64) -> Int64 {
        let year = year + years
        let date =
            CivilDate(year: year, month: month, day: day) ?? CivilDate(year: year, month: 3, day: 1) ?? self
        return date.daysSinceEpoch
    }
}
