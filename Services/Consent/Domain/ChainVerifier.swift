package import Models

/// Something wrong with the ledger.
package struct ChainFault: Hashable, Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// The entry is not what was hashed when it was recorded.
        case edited
        /// One or more entries before this position are gone, or the order is another.
        case broken
        /// The person or the evidence is not what was committed to.
        case subjectAltered = "subject-altered"
        /// The person is gone without an erasure that says so.
        case detached
        /// The chain ends before its recorded end, or goes on after it.
        case truncated
        /// Here another entry stood when the heads were signed.
        case rewritten
    }

    package let kind: Kind
    package let position: Int64

    package init(kind: Kind, position: Int64) {
        self.kind = kind
        self.position = position
    }
}

/// Goes along one shard's chain in order and finds what was tampered with.
package struct ChainVerifier: Sendable {
    /// What is known of the person behind an entry.
    package enum Standing: Sendable {
        case known(EntrySubject)
        /// Destroyed, with a record of the erasure.
        case erased
        case missing
    }

    package let shard: Shard
    package private(set) var faults: [ChainFault] = []
    /// How many entries were gone through.
    package private(set) var entries: Int64 = 0
    private var position: Int64 = 0
    private var head: [UInt8]
    private let digest: Digest
    /// What was signed: the hashes of entries by their positions.
    private let signed: [Int64: [UInt8]]
    /// After so many the rest is not listed: one edit is enough to know.
    private static let faultLimit = 100

    /// `signed` are the ends that the chain had at other times.
    package init(shard: Shard, signed: [Int64: [UInt8]] = [:], digest: @escaping Digest) {
        self.signed = signed
        self.shard = shard
        self.digest = digest
        head = LedgerChain.genesis(of: shard, digest: digest)
    }

    /// Takes the next entry, in ascending position.
    package mutating func take(_ sealed: SealedEntry, _ standing: Standing) {
        entries += 1
        if sealed.position != position + 1 || sealed.previousHash != head || sealed.shard != shard {
            report(.broken, sealed.position)
        }
        if digest(sealed.canonicalBytes()) != sealed.hash { report(.edited, sealed.position) }
        if let signed = signed[sealed.position], signed != sealed.hash { report(.rewritten, sealed.position) }
        switch standing {
        case .known(let subject):
            if subject.subjectDigest(digest) != sealed.subjectDigest
                || subject.evidenceDigest(digest) != sealed.evidenceDigest
            {
                report(.subjectAltered, sealed.position)
            }
        case .erased: break
        case .missing: report(.detached, sealed.position)
        }
        position = sealed.position
        head = sealed.hash
    }

    /// Compares the end with the recorded one.
    package mutating func finish(position recorded: Int64, head recordedHead: [UInt8]) {
        if recorded != position || recordedHead != head { report(.truncated, max(recorded, position)) }
        if let last = signed.keys.max(), last > position { report(.truncated, last) }
    }

    private mutating func report(_ kind: ChainFault.Kind, _ position: Int64) {
        if faults.count < Self.faultLimit { faults.append(ChainFault(kind: kind, position: position)) }
    }
}
