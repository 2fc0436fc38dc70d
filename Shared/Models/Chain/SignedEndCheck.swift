/// Compares ends of a chain that were signed at other times with what stands at their positions, without going along the chain: who
/// has gone along it once need not for each lot of ends.
package enum SignedEndCheck {
    /// `standing` are the hashes that stand, of the positions that were signed; `end` is the last position; what is before `anchor`
    /// was let go of, and its own hash is `anchor.hash`.
    package static func faults(
        of signed: [Int64: [UInt8]], standing: [Int64: [UInt8]], end: Int64,
        anchor: (position: Int64, hash: [UInt8])? = nil
    ) -> [ChainFault] {
        let first = anchor?.position ?? 0
        var faults: [ChainFault] = []
        for (position, hash) in signed.sorted(by: { $0.key < $1.key }) where position >= first {
            let known = position == anchor?.position ? anchor?.hash : standing[position]
            if let known {
                if known != hash { faults.append(ChainFault(kind: .rewritten, position: position)) }
            } else if position <= end {
                faults.append(ChainFault(kind: .broken, position: position))
            }
        }
        if let last = signed.keys.max(), last > end, last > first {
            faults.append(ChainFault(kind: .truncated, position: last))
        }
        return faults
    }
}
