/// Two records, by their places in the table, the earlier one first, and the weight of the pair in bits.
struct ScoredPair: Sendable {
    let a: UInt32
    let b: UInt32
    let weight: Float
}
