/// What agreement and disagreement of each field are worth, learned from the records.
///
/// A pair's weight is the sum over the fields of `log2(m/u)`, where `m` is how often records of one person agree at that
/// level and `u` how often records of two do (Fellegi & Sunter, "A theory for record linkage", 1969). Equal values count
/// by how rare they are: `u` is then the share of the value itself (Winkler 1990; Enamorado, Fifield & Imai, "Using a
/// probabilistic model to assist merging of large-scale administrative records", 2019). A missing value says nothing.
package struct MatchWeights: Sendable, Equatable {
    /// By column and level; place 0 is for missing values and unused.
    package internal(set) var m: [[Double]]
    package internal(set) var u: [[Double]]
    /// By column and rarity in whole bits: of the pairs that are equal in a value so rare, the share that is so by
    /// coincidence. An e-mail address that two records have is there twice because it is one person's, not because it
    /// is frequent.
    package internal(set) var coincidence: [[Double]]
    /// The share of all pairs of records that are of one person.
    package internal(set) var prior: Double
    package let circumstances: [Circumstance]
    /// The share of all pairs that are of two people who share each circumstance.
    package internal(set) var shared: [Double]

    /// What is assumed before anything was learned.
    init(expectedOf schema: MatchSchema, u: [[Double]], prior: Double) {
        m = schema.fields.map { [0] + $0.comparator.levels.map(\.expected) }
        self.u = u
        coincidence = schema.fields.map { _ in Array(repeating: 1, count: Self.rarities) }
        self.prior = prior
        circumstances = Circumstance.all(schema)
        shared = circumstances.map { _ in prior }
    }

    /// Values are rare by so many bits, at most.
    static let rarities = 32

    /// What is added to the rarity of values, by column and rarity in whole bits.
    var rarityCorrections: [[Float]] {
        coincidence.map { shares in shares.map { min(4, max(0, Float(-Logarithm.base2($0)))) } }
    }

    /// The share of pairs that have nothing to do with each other.
    var chance: Double { max(0.01, 1 - prior - shared.reduce(0, +)) }

    /// The weight in bits of knowing nothing of a pair but that it is one.
    package var priorWeight: Double { Logarithm.base2(prior / chance) }

    func weight(_ column: Int, _ level: Int) -> Double {
        level == 0 ? 0 : Logarithm.base2(m[column][level] / u[column][level])
    }
}
