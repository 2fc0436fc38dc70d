import Models
import SegmentationDomain

/// An edition of whatever kind of model.
struct PopulationEdition {
    private enum Content {
        case rfm(RFMEdition)
        case percentile(PercentileEdition)
    }

    private var content: Content

    init(_ edition: RFMEdition) { content = .rfm(edition) }
    init(_ edition: PercentileEdition) { content = .percentile(edition) }

    var kind: PopulationModelKind {
        switch content {
        case .rfm: .rfm
        case .percentile: .percentile
        }
    }

    var number: Int {
        get {
            switch content {
            case .rfm(let edition): edition.number
            case .percentile(let edition): edition.number
            }
        }
        set {
            switch content {
            case .rfm(var edition):
                edition.number = newValue
                content = .rfm(edition)
            case .percentile(var edition):
                edition.number = newValue
                content = .percentile(edition)
            }
        }
    }

    var json: JSON {
        switch content {
        case .rfm(let edition): edition.json
        case .percentile(let edition): edition.json
        }
    }
}

/// Everybody who is compared, as far as they were looked at.
struct Population: Sendable {
    private let kind: PopulationModelKind
    private let measure: PercentileMeasure?
    private let orders: ComputedTrait?
    private var standings = RFMPopulation()
    private var values: [Int64] = []
    private(set) var examined = 0
    /// How many of those have a state that does not read, and so were not compared.
    private(set) var leftOut = 0
    /// The version of the score by which the first were compared.
    private var version: (isKnown: Bool, number: Int?) = (false, nil)

    init(_ kind: PopulationModelKind, _ asked: RuleField) throws(RuleProblem) {
        self.kind = kind
        measure = kind == .percentile ? try PercentileMeasure(asked) : nil
        orders = kind == .rfm ? try RFMEdition.orders(asked) : nil
    }

    /// What events are made of; nil for a score.
    var trait: ComputedTrait? {
        measure.map(\.folded) ?? orders
    }

    /// The score that is compared.
    var score: String? { if case .score(let id)? = measure { id } else { nil } }

    mutating func add(_ folds: [ComputedTraitFold], of people: Int) {
        switch kind {
        case .rfm: standings.add(folds.compactMap { $0.orders() }, of: people)
        case .percentile: values += folds.compactMap { $0.measured() }
        }
        examined += people
    }

    mutating func add(_ some: [Int64], of people: Int, leftOut unread: Int) {
        values += some
        examined += people
        leftOut += unread
    }

    /// Whether a score is in the version by which all so far were compared; notes that of the first.
    mutating func isOf(version found: Int?) -> Bool {
        if !version.isKnown { version = (true, found) }
        return version.number == found
    }

    /// The same with nobody looked at.
    var anew: Population {
        var population = self
        (population.standings, population.values) = (RFMPopulation(), [])
        (population.examined, population.leftOut, population.version) = (0, 0, (false, nil))
        return population
    }

    /// An edition without its number, nil if there is nobody; and how many are in each of the named segments.
    func edition(at now: Instant) -> (edition: PopulationEdition?, segments: JSON) {
        if let measure {
            let made = PercentileEdition(1, of: measure, at: now, values: values)
            return (made.map { PopulationEdition($0) }, [:])
        }
        guard let orders, let made = standings.edition(1, of: orders, at: now) else { return (nil, [:]) }
        let counts = standings.counts(by: made)
        let segments = RFMSegment.allCases.map { ($0.rawValue, JSON.integer(Int64(counts[$0] ?? 0))) }
        return (
            PopulationEdition(made), .object(Dictionary(segments, uniquingKeysWith: { $1 }))
        )
    }

    /// Why there is no edition.
    var emptiness: String {
        guard let trait else {
            return "of nobody a score \(score ?? "") is known, so there is nothing to compare"
        }
        return
            "nobody has done \(trait.source.events.text)\(trait.source.window.text), so there is nothing to compare"
    }
}
