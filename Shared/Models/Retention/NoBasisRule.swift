/// When people are erased whom nothing in the consent policy permits to hold any more.
package struct NoBasisRule: Hashable, Sendable {
    /// What shows that somebody has a contract: without such a rule purposes on contract count for everybody.
    package struct Contract: Hashable, Sendable {
        /// Track calls by name, any of which shows it.
        package var events: [String]
        /// For how long one does.
        package var within: Duration

        package init(events: [String], within: Duration) { (self.events, self.within) = (events, within) }
    }

    /// For how long there must have been nothing.
    package var after: Duration
    package var contract: Contract?
    /// How many of a hundred people may go without anybody having been asked.
    package var mostPercent: Int

    package static let usualPercent = 5
    /// Of so few no share is looked at.
    package static let few: Int64 = 10

    package init(after: Duration, contract: Contract? = nil, mostPercent: Int = usualPercent) {
        (self.after, self.contract, self.mostPercent) = (after, contract, mostPercent)
    }

    /// Whether so many are more than may go unasked: a mistake in a policy would else erase everybody.
    package func isTooMany(_ count: Int64, of people: Int64) -> Bool {
        count > Self.few && count * 100 > people * Int64(mostPercent)
    }

    /// Whoever has been without before this instant goes. A full hour, as for everything that is kept for a time.
    package func boundary(now: Instant) -> Instant { RetentionPolicy.boundary(after, now: now) }
}

extension NoBasisRule {
    private static let mostEvents = 50

    init(_ fields: JSONFields) throws(DecodingProblem) {
        try fields.allow(["after", "contract", "mostPercent"])
        let kind = RetentionClass.noBasis
        self.init(
            after: try RetentionPolicy.duration("after", fields, from: kind.floor, to: kind.ceiling))
        if fields["mostPercent"] != nil {
            guard let percent = fields["mostPercent"]?.integer, (1...100).contains(percent) else {
                throw fields.problem("mostPercent", expected: "a whole number from 1 to 100")
            }
            mostPercent = Int(percent)
        }
        guard fields["contract"] != nil else { return }
        let inner = try fields.fields("contract")
        try inner.allow(["events", "within"])
        let named = inner["events"]?.array?.compactMap(\.string) ?? []
        guard (1...Self.mostEvents).contains(named.count), named.count == inner["events"]?.array?.count,
            Set(named).count == named.count, named.allSatisfy({ (1...256).contains($0.utf8.count) })
        else {
            throw inner.problem(
                "events", expected: "a list of 1 to \(Self.mostEvents) names of track calls, each once")
        }
        contract = Contract(
            events: named,
            within: try RetentionPolicy.duration("within", inner, from: .days(1), to: kind.ceiling))
    }

    var json: JSON {
        var members: [String: JSON] = [
            "after": .string(after.text), "mostPercent": .integer(Int64(mostPercent)),
        ]
        if let contract {
            members["contract"] = [
                "events": .array(contract.events.map { .string($0) }),
                "within": .string(contract.within.text),
            ]
        }
        return .object(members)
    }
}
