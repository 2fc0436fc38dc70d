import Models
import Postgres
import SegmentationDomain
import Streams

/// Rules that look at computed traits, and the definitions that are written into them.
///
/// Computed traits are about events alone and look at no segment, score or trait, so no rule leads back to itself by one.
struct ComputedTraitRules {
    let transaction: PostgresTransaction

    init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    /// A rule that was just written, with how each computed trait that it looks at is worked out; throws `InvalidRule` with the
    /// places of those that are none, or have no value that can be compared. Needs the lock of the set of rules: under it
    /// traits change.
    func written(_ condition: Condition, at path: RulePath) async throws -> Condition {
        let named = condition.computedTraits(at: path)
        guard !named.isEmpty else { return condition }
        let found = try await ComputedTraitStore(transaction).definitions(Set(named.map(\.id)).sorted())
        let traits = Dictionary(found.map { ($0.stored.id, $0.trait) }, uniquingKeysWith: { $1 })
        let problems = named.compactMap { id, path -> RuleProblem? in
            guard let trait = traits[id] else {
                return RuleProblem(path, expected: "the id of a computed trait that there is")
            }
            return trait.isComparable ? nil : RuleProblem(path, expected: TraitOfEvents.comparable)
        }
        guard problems.isEmpty else { throw InvalidRule(problems) }
        return try condition.withComputedTraits { id, _ in traits[id]?.json }
    }

    /// A rule in which each comparison with a computed trait says which property that is of, as other comparisons do.
    static func withProperties(_ rule: JSON) -> JSON {
        switch rule {
        case .array(let parts): return .array(parts.map(withProperties))
        case .object(var members):
            let definition = members["definition"]?.object?.values.first
            members = members.mapValues(withProperties)
            if members["id"] != nil, let property = definition?["property"] { members["property"] = property }
            return .object(members)
        default: return rule
        }
    }

    /// The segments whose rules, those in force or their next ones, look at a trait.
    func users(of id: String, in set: SegmentSet) -> [String] {
        EditionRules.segments(in: set) { $0.computedTraits().contains { $0.id == id } }
    }

    /// Gives the rules that look at a trait their next version, by how it is worked out now. They come into force together,
    /// when everybody is decided by them. Needs the lock of the set of rules.
    func bring(_ trait: ComputedTrait, called id: String, in set: SegmentSet, at now: Instant) async throws {
        try await EditionRules(transaction).rewrite(users(of: id, in: set), in: set, at: now) {
            rule throws(InvalidRule) in
            try rule.withComputedTraits { named, old in named == id ? trait.json : old }
        }
    }
}
