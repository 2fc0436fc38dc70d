package import Models

/// What a value is worked out from and how: `{"last": {"event": "Product Viewed", "property": "name"}}`,
/// `{"sum": {"event": "Order Completed", "property": "total", "within": "365d"}}`.
///
/// The events are chosen as in rules, by name, filters and window. Events at the same instant with the same message id are
/// one, as they are there. Times are those of `SegmentDecider.instant(of:)`.
package struct ComputedTrait: Hashable, Sendable {
    /// What is made of the events.
    package enum Kind: String, CaseIterable, Sendable {
        /// How many they are.
        case count
        /// Of the numbers of a property; of a list all count.
        case sum, average, minimum, maximum
        /// How many values of a property there are.
        case distinct
        /// The value of a property in the first event that has one, or in the last: of several there the first, or the last.
        case first, last
        /// The value that most events have; of several the one that came up last.
        case mostFrequent
        /// The total of a property by the number of events that have it.
        case averageOrderValue
        /// When the first of them was, or the last.
        case firstTime, lastTime
        /// Whole days since then: of 24 hours, or by the calendar of a zone.
        case daysSinceFirst, daysSinceLast
        /// Days since the last, how many, and the total of a property; by a model of RFM with what that scores.
        case rfm
    }

    package private(set) var kind: Kind
    package private(set) var source: WindowedEvents
    package private(set) var property: PropertyPath?
    package let zone: CivilZone?
    /// The model by which somebody is scored as well.
    package let model: String?
    /// That model's edition in force, if there is one. A list, since an edition has what counts as an order in it, which is
    /// one of these again.
    private var editions: [RFMEdition] = []

    var edition: RFMEdition? { editions.first }

    package static let keys = Kind.allCases.map(\.rawValue)

    /// Reads the one member of an object that says a kind; others may stand beside it.
    package init(_ field: RuleField) throws(RuleProblem) {
        let (key, payload) = try field.one(of: Self.keys)
        guard let kind = Kind(rawValue: key) else { throw field.problem("a kind of trait") }
        self.kind = kind
        let named = kind == .rfm ? payload.optional("model") : nil
        model = try named.map { named throws(RuleProblem) in try RFM.model(named) }
        // What counts as an order the edition says.
        try payload.allow(
            named != nil
                ? ["model"]
                : WindowedEvents.keys + (kind.takesProperty ? ["property"] : [])
                    + (kind.takesZone ? ["zone"] : []))
        let events = RuleField(kind.completed(named == nil ? payload.json : [:]), at: payload.path)
        source = try WindowedEvents(events)
        property =
            kind.takesProperty
            ? try PropertyPath(events.required("property", "the property whose values are taken")) : nil
        zone = events.optional("zone") == nil ? nil : try events.zone()
    }

    /// The same by an edition of its model.
    package func by(_ edition: RFMEdition) -> ComputedTrait {
        var trait = self
        (trait.source, trait.property) = (edition.orders.source, edition.orders.property)
        trait.editions = [edition]
        return trait
    }

    /// The same that takes events without a number as well, as orders are taken.
    var countingAll: ComputedTrait {
        var trait = self
        trait.kind = .rfm
        return trait
    }

    package var json: JSON {
        if let model { return [kind.rawValue: ["model": .string(model)]] }
        var members = source.members
        members["property"] = property.map { .string($0.text) }
        members["zone"] = zone.map { .string($0.name) }
        return [kind.rawValue: .object(members)]
    }

    /// In words: `sum of total over "Order Completed" in 365 days`.
    package var text: String {
        let events = "\(source.events.name)\(source.window.text)\(source.events.filterText)"
        let path = property?.words ?? ""
        let days = zone.map { "calendar days in \($0.name)" } ?? "days"
        return switch kind {
        case .count: "count of \(events)"
        case .sum, .average, .minimum, .maximum: "\(kind.rawValue) of \(path) over \(events)"
        case .distinct: "distinct \(path) over \(events)"
        case .first, .last: "\(kind.rawValue) \(path) of \(events)"
        case .mostFrequent: "most frequent \(path) of \(events)"
        case .averageOrderValue: "average \(path) of each \(events)"
        case .firstTime: "time of the first \(events)"
        case .lastTime: "time of the last \(events)"
        case .daysSinceFirst: "\(days) since the first \(events)"
        case .daysSinceLast: "\(days) since the last \(events)"
        case .rfm where model != nil:
            "recency, frequency and monetary value by the model \(model.map(RuleWords.name) ?? "")"
        case .rfm: "recency, frequency and monetary value by \(path) of \(events)"
        }
    }

    /// Which events have to be read.
    package var wanted: [WantedEvents] {
        source.events.names?.map { WantedEvents(kind: source.events.kind, name: $0) }
            ?? [WantedEvents(kind: source.events.kind, name: nil)]
    }

    /// The earliest time that counts at an instant.
    package func beginning(at now: Instant) -> Instant { source.window.beginning(at: now) }
}

extension ComputedTrait.Kind {
    fileprivate var takesProperty: Bool {
        switch self {
        case .count, .firstTime, .lastTime, .daysSinceFirst, .daysSinceLast: false
        default: true
        }
    }

    fileprivate var takesZone: Bool { self == .daysSinceFirst || self == .daysSinceLast }

    /// What is about orders says so where nothing else is said; RFM looks at a year.
    fileprivate func completed(_ payload: JSON) -> JSON {
        guard self == .averageOrderValue || self == .rfm, var members = payload.object else { return payload }
        if members["event"] == nil, members["type"] == nil { members["event"] = "Order Completed" }
        if members["property"] == nil { members["property"] = "total" }
        if self == .rfm, members["within"] == nil, members["since"] == nil { members["within"] = "365d" }
        return .object(members)
    }
}

/// How much is kept of one profile, and how many traits there may be.
package enum ComputedTraitLimits {
    /// The most definitions.
    package static let definitions = 100
    /// The most events that one trait counts of one profile: the latest.
    package static let occurrences = RuleLimits.occurrences
    /// The most events of one profile that are read for all traits together: the latest.
    package static let events = 50_000
    /// The most events and values of one profile that all traits together hold at a time.
    package static let held = 200_000
    /// The longest text that is handed out; of longer ones the beginning is.
    package static let textLength = 1_000
    /// Changes of what a value rests on that are looked through for the next one of the value itself.
    static let lookAhead = 256
}
