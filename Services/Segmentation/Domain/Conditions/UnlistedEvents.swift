package import Models

/// What there is to say of the events that evidence does not list, because there are more than it lists: of each kind of
/// condition what deciding it again takes.
package enum UnlistedEvents: Hashable, Sendable {
    /// How many they are, from when to when.
    case counted
    /// Also the total, the least and the greatest of their amounts, and of how many values that is.
    case added
    /// Also how many of them are of each of two kinds.
    case compared
    /// Also how many values they have that none of those listed has.
    case told
    /// Also what each kind of event has left, as of an instant.
    case scored(Scoring, at: Instant)

    /// Where the list begins if it may have so many events: one event is never taken apart, though it may stand there
    /// more than once.
    static func beginning(of events: [Occurrence], listing limit: Int) -> Int {
        guard events.count > limit else { return 0 }
        var start = events.count - limit
        func splits(_ place: Int) -> Bool {
            place > 0 && place < events.count && events[place - 1].at == events[place].at
                && events[place - 1].messageID == events[place].messageID
        }
        while splits(start) { start += 1 }
        guard start == events.count else { return start }
        start -= 1
        while splits(start) { start -= 1 }
        return start
    }

    /// How one of those that are listed is shown; of a score with the kind of event that it counts as.
    func json(of event: Occurrence) -> JSON {
        guard case .scored = self, case .object(var members) = event.json else { return event.json }
        members["kind"] = event.number.map { .integer(Int64($0)) }
        return .object(members)
    }

    /// The summary of the unlisted, some of which may be known together only, given those that are listed.
    func json(
        of events: ArraySlice<Occurrence>, and earlier: Tally?, besides listed: ArraySlice<Occurrence>
    ) -> JSON {
        guard var all = earlier ?? Tally.of(events) else { return .null }
        if earlier != nil, let others = Tally.of(events) { all.add(others) }
        var members: [String: JSON] = [
            "count": .integer(Int64(all.events)), "first": all.first.json, "last": all.last.json,
        ]
        switch self {
        case .counted: break
        case .added:
            members["values"] = .integer(Int64(all.values))
            members["total"] = .string(Self.text(all.total))
            members["minimum"] = all.minimum.map { .string($0.text) }
            members["maximum"] = all.maximum.map { .string($0.text) }
        case .compared:
            members["of"] = .integer(Int64(all.events - all.base))
            members["to"] = .integer(Int64(all.base))
        case .told:
            let known = Set(listed.map(\.group))
            members["values"] = .integer(Int64(Set(events.map(\.group)).subtracting(known).count))
        case .scored(let scoring, let instant):
            members["asOf"] = .string(instant.rfc3339)
            members["parts"] = .array(scoring.left(of: events, at: instant))
        }
        return .object(members)
    }

    /// Millionths, however many, as a decimal number.
    private static func text(_ millionths: Int128) -> String {
        let (whole, rest) = millionths.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
        var digits = String(String(rest + 1_000_000).dropFirst())
        while digits.last == "0" { digits.removeLast() }
        return (millionths < 0 ? "-" : "") + "\(whole)" + (digits.isEmpty ? "" : ".\(digits)")
    }
}

extension Scoring {
    /// What each kind of event has left of what these brought, in `units` of 2⁻⁴⁰ of a millionth without its sign: what
    /// comes later adds to it.
    fileprivate func left(of occurrences: ArraySlice<Occurrence>, at instant: Instant) -> [JSON] {
        var memory = Memory()
        memory.occurrences = Array(occurrences)
        let standing = standing(memory, at: occurrences.last?.at ?? instant, asOf: instant)
        return zip(events, standing.parts).enumerated().compactMap { number, kind in
            guard kind.1.count > 0 else { return nil }
            return [
                "kind": .integer(Int64(number)), "count": .integer(Int64(kind.1.count)),
                "units": .string("\(kind.1.points.units.magnitude)"),
            ]
        }
    }
}
