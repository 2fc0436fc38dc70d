package import Models

/// Goes along one shard's chain of the ledger in order and finds what was tampered with.
package struct ChainVerifier: Sendable {
    /// What is known of the person behind an entry.
    package enum Standing: Sendable {
        case known(EntrySubject)
        /// Destroyed, with a record of the erasure.
        case erased
        case missing
    }

    private var walk: ChainWalk
    private let digest: Digest

    package var shard: Shard { walk.shard }
    package var faults: [ChainFault] { walk.faults }
    /// How many entries were gone through.
    package var entries: Int64 { walk.entries }

    /// `signed` are the ends that the chain had at other times.
    package init(shard: Shard, signed: [Int64: [UInt8]] = [:], digest: @escaping Digest) {
        self.digest = digest
        walk = ChainWalk(
            shard: shard, genesis: LedgerChain.genesis(of: shard, digest: digest), signed: signed,
            digest: digest)
    }

    /// Takes the next entry, in ascending position.
    package mutating func take(_ sealed: SealedEntry, _ standing: Standing) {
        walk.take(sealed)
        switch standing {
        case .known(let subject):
            if subject.subjectDigest(digest) != sealed.subjectDigest
                || subject.evidenceDigest(digest) != sealed.evidenceDigest
            {
                walk.report(.subjectAltered, sealed.position)
            }
        case .erased: break
        case .missing: walk.report(.detached, sealed.position)
        }
    }

    /// Compares the end with the recorded one.
    package mutating func finish(position recorded: Int64, head recordedHead: [UInt8]) {
        walk.finish(position: recorded, head: recordedHead)
    }
}
