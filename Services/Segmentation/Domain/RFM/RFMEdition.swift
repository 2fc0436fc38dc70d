package import Models

/// What somebody's orders come to at an instant.
package struct RFMStanding: Hashable, Sendable {
    /// Since the last order.
    package var recency: Duration
    /// How many orders.
    package var frequency: Int
    package var monetary: Amount

    package init(recency: Duration, frequency: Int, monetary: Amount) {
        (self.recency, self.frequency, self.monetary) = (recency, frequency, monetary)
    }
}

/// A score from 1 to 5 for each of the three.
package struct RFMScores: Hashable, Sendable {
    package var recency: Int
    package var frequency: Int
    package var monetary: Int

    package init(recency: Int, frequency: Int, monetary: Int) {
        (self.recency, self.frequency, self.monetary) = (recency, frequency, monetary)
    }

    package var json: JSON {
        [
            "recency": .integer(Int64(recency)), "frequency": .integer(Int64(frequency)),
            "monetary": .integer(Int64(monetary)),
        ]
    }
}

/// The thresholds between the fifths of a population, as they were at an instant.
///
/// Fifths are told apart by the values of the people at 20, 40, 60 and 80 % of all who have ordered, in order from the worst.
/// Whoever is better than so many of these has that many points more than 1. So people who have the same have the same score,
/// and where many have the same, scores are left out.
package struct RFMEdition: Hashable, Sendable {
    /// Counted up for each model.
    package var number: Int
    package let at: Instant
    /// How many people had ordered.
    package let people: Int
    /// What counts as an order, and in which time.
    package let orders: ComputedTrait
    /// A shorter time since the last order is better; falling.
    package let recency: [Duration]
    /// More is better; rising.
    package let frequency: [Int]
    package let monetary: [Amount]

    static let keys = ["number", "at", "people", "orders", "recency", "frequency", "monetary"]

    package init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(Self.keys)
        let expected = "an edition as it is answered"
        number = try field.required("number", expected).count(1...Int(Int32.max))
        let written = try field.required("at", expected)
        guard let at = written.json.string.flatMap({ Instant(rfc3339: $0) }) else {
            throw written.problem("an RFC 3339 time")
        }
        self.at = at
        people = try field.required("people", expected).count(1...Int(Int32.max))
        orders = try Self.orders(try field.required("orders", expected))
        let recency = try field.required("recency", expected)
        self.recency = try Self.four(recency) { element throws(RuleProblem) in
            guard let length = element.json.string.flatMap({ Duration(text: $0) }),
                length <= RuleLimits.window
            else { throw element.problem("a length of time") }
            return length
        }
        let frequency = try field.required("frequency", expected)
        self.frequency = try Self.four(frequency) { element throws(RuleProblem) in
            try element.count(0...RuleLimits.count - 1)
        }
        let monetary = try field.required("monetary", expected)
        self.monetary = try Self.four(monetary) { element throws(RuleProblem) in try element.amount() }
        guard self.recency == self.recency.sorted(by: >) else { throw recency.problem("falling") }
        guard self.frequency == self.frequency.sorted() else { throw frequency.problem("rising") }
        guard self.monetary == self.monetary.sorted() else { throw monetary.problem("rising") }
    }

    private static func four<Value>(
        _ field: RuleField, _ read: (RuleField) throws(RuleProblem) -> Value
    ) throws(RuleProblem) -> [Value] {
        var values: [Value] = []
        for element in try field.elements(4...4, of: "thresholds") { values.append(try read(element)) }
        return values
    }

    /// What counts as an order: `{"event": "Order Completed", "property": "total", "within": "365d"}`, each with a default.
    package static func orders(_ field: RuleField) throws(RuleProblem) -> ComputedTrait {
        let orders: ComputedTrait
        do { orders = try ComputedTrait(RuleField([ComputedTrait.Kind.rfm.rawValue: field.json])) } catch {
            // Its place is one step down from here.
            throw RuleProblem(
                RulePath(field.path.components + error.path.components.dropFirst()), expected: error.expected)
        }
        guard orders.model == nil else {
            throw RuleProblem(field.path.appending("model"), expected: "no such field")
        }
        guard !orders.source.events.isTimed else {
            throw RuleProblem(
                field.path.appending("where"), expected: "filters without times relative to the present")
        }
        return orders
    }

    init(
        number: Int, at: Instant, people: Int, orders: ComputedTrait, recency: [Duration], frequency: [Int],
        monetary: [Amount]
    ) {
        (self.number, self.at, self.people, self.orders) = (number, at, people, orders)
        (self.recency, self.frequency, self.monetary) = (recency, frequency, monetary)
    }

    package var json: JSON {
        [
            "number": .integer(Int64(number)), "at": .string(at.rfc3339), "people": .integer(Int64(people)),
            "orders": orders.json[ComputedTrait.Kind.rfm.rawValue] ?? .null,
            "recency": .array(recency.map { .string($0.text) }),
            "frequency": .array(frequency.map { .integer(Int64($0)) }),
            "monetary": .array(monetary.map { .string($0.text) }),
        ]
    }

    /// Where somebody stands by these thresholds.
    package func scores(_ standing: RFMStanding) -> RFMScores {
        RFMScores(
            recency: 1 + recency.count { standing.recency < $0 },
            frequency: 1 + frequency.count { standing.frequency > $0 },
            monetary: 1 + monetary.count { standing.monetary > $0 })
    }
}

/// The people who have ordered, of whom an edition is made.
package struct RFMPopulation: Sendable {
    private var standings: [RFMStanding] = []

    package init() {}

    /// How many people were looked at, also without an order.
    package private(set) var examined = 0

    /// Adds so many people, of whom some have ordered.
    package mutating func add(_ some: [RFMStanding], of people: Int) {
        standings += some
        examined += people
    }

    /// The thresholds between their fifths; nil if there is nobody.
    ///
    /// A time is no longer than rules take, and a number of orders no larger than they count.
    package func edition(_ number: Int, of orders: ComputedTrait, at now: Instant) -> RFMEdition? {
        guard !standings.isEmpty else { return nil }
        func thresholds<Value: Comparable>(_ values: [Value]) -> [Value] {
            [20, 40, 60, 80].map { values[(values.count * $0 + 99) / 100 - 1] }
        }
        return RFMEdition(
            number: number, at: now, people: standings.count, orders: orders,
            recency: thresholds(standings.map { min($0.recency, RuleLimits.window) }.sorted(by: >)),
            frequency: thresholds(standings.map { min($0.frequency, RuleLimits.count - 1) }.sorted()),
            monetary: thresholds(standings.map(\.monetary).sorted()))
    }

    /// How many people are in each of the named segments.
    package func counts(by edition: RFMEdition) -> [RFMSegment: Int] {
        standings.reduce(into: [:]) { counts, standing in
            guard let segment = RFMSegment(edition.scores(standing)) else { return }
            counts[segment, default: 0] += 1
        }
    }
}
