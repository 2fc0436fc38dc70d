package import Models

/// How many years somebody has completed, from a trait that holds their date of birth:
/// `{"age": {"trait": "birthday", "atLeast": 18, "zone": "Europe/Berlin"}}`.
///
/// The trait holds a date such as `1990-02-28`, or a time, of which the date counts as it is written. A year is completed
/// when the birthday begins in the zone. Who was born on 29 February completes it on 1 March where there is none. It does not
/// hold without a date, nor before the birth.
package struct Age: LeafOperator {
    package static let key = "age"
    private static let longest = 150

    package let trait: TraitReading
    package let years: Times
    package let zone: CivilZone

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["trait", "zone"] + Times.keys)
        trait = TraitReading(
            path: try PropertyPath(field.required("trait", "the trait with the date of birth")))
        years = try Times(in: field, upTo: Self.longest)
        zone = try field.zone()
    }

    package var keeps: String? { nil }
    package var interest: Interest { .trait(trait.path.root) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        trait.remember(event, at: instant, in: &memory)
    }

    private func birth(_ memory: Memory) -> CivilDate? {
        guard let text = trait.values(memory).first?.string else { return nil }
        guard text.utf8.count == 10 || Instant(rfc3339: text) != nil else { return nil }
        return CivilDate(text: String(text.prefix(10)))
    }

    private func spans(_ memory: Memory) -> Spans {
        guard let birth = birth(memory) else { return .never }
        func completed(_ years: Int) -> Instant {
            let year = birth.year + Int64(years)
            let day =
                CivilDate(year: year, month: birth.month, day: birth.day)
                ?? CivilDate(year: year, month: 3, day: 1) ?? birth
            return zone.start(of: day)
        }
        return Spans(completed(years.least), years.most.map { completed($0 + 1) } ?? .distantFuture)
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { spans(memory).contains(instant) }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        spans(memory).nextBoundary(after: instant)
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = [:]
        if let birth = birth(memory) { details["age"] = .integer(age(of: birth, at: instant)) }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: trait.source(memory), details: details
        )
        .with(
            birth(memory).map {
                years.finding(Int(clamping: age(of: $0, at: instant)), "year", "years")
            } ?? Finding(text: "there is no date of birth"))
    }

    private func age(of birth: CivilDate, at instant: Instant) -> Int64 {
        let today = CivilDate(daysSinceEpoch: zone.day(of: instant))
        let isBefore = (today.month, today.day) < (birth.month, birth.day)
        return today.year - birth.year - (isBefore ? 1 : 0)
    }

    package var text: String { "age by \(trait.path.words) \(years.words("year", "years")) in \(zone.name)" }

    package var json: JSON {
        .object(
            years.members.merging(["trait": .string(trait.path.text), "zone": .string(zone.name)]) { $1 })
    }
}
