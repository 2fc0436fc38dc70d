package import Models

/// Why a pair has its weight: what each field adds, in bits, from what was known before anything was compared.
package struct MatchExplanation: Sendable, Hashable {
    /// What one field adds.
    package struct Evidence: Sendable, Hashable {
        package let column: Int
        package let field: MatchField
        /// How well the values agree; nil when one of the records has none.
        package let level: String?
        /// How often records of one person agree at that level, and of two.
        package let m: Double
        package let u: Double
        /// `log2(m/u)`.
        package let weight: Double
        /// What is added because the value on which the records agree is rarer, or more common, than most.
        package let rarity: Double
    }

    /// The weight of a pair of which nothing is known.
    package let prior: Double
    package let fields: [Evidence]
    /// What is taken off because two people may live in one place, one house or one family. Never above 0.
    package let shared: Double

    /// The sum, in bits: 0 is as likely as not, 10 about a thousand to one.
    package var weight: Double { fields.reduce(prior + shared) { $0 + $1.weight + $1.rarity } }

    package var probability: Double { Logarithm.probability(ofWeight: weight) }
}

extension MatchExplanation {
    package var json: JSON {
        [
            "prior": .bits(prior), "shared": .bits(shared), "weight": .bits(weight),
            "fields": .array(fields.map(\.json)),
        ]
    }
}

extension MatchExplanation.Evidence {
    var json: JSON {
        [
            "field": .string(field.rawValue), "column": .integer(Int64(column)),
            "level": level.map { .string($0) } ?? .null, "m": .share(m), "u": .share(u),
            "weight": .bits(weight),
            "rarity": .bits(rarity),
        ]
    }
}

extension JSON {
    fileprivate static func bits(_ value: Double) -> JSON { .double((value * 1000).rounded() / 1000) }
    fileprivate static func share(_ value: Double) -> JSON { .double((value * 1e9).rounded() / 1e9) }
}

/// Two records that may be of one person.
package struct MatchProposal: Sendable, Hashable {
    /// The places of the records in the table, the earlier one first.
    package let a: Int
    package let b: Int
    /// In bits, as in the explanation.
    package let weight: Double
    package let verdict: MatchPolicy.Verdict

    package var probability: Double { Logarithm.probability(ofWeight: weight) }
}
