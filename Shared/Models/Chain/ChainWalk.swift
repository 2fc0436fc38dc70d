/// A hash function: SHA-256 outside of tests of this module.
package typealias ChainDigest = @Sendable ([UInt8]) -> [UInt8]

/// One line of a log in which every line is chained to the one before by its hash.
package protocol ChainLink: Sendable {
    var shard: Shard { get }
    /// 1, 2, 3, … without gaps within the shard.
    var position: Int64 { get }
    var previousHash: [UInt8] { get }
    var hash: [UInt8] { get }
    /// What the hash is taken of.
    func canonicalBytes() -> [UInt8]
}

/// Something wrong with a chained log.
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
        /// What says where the chain begins, after what was before it was let go of, is not what was signed.
        case anchorAltered = "anchor-altered"
    }

    package let kind: Kind
    package let position: Int64

    package init(kind: Kind, position: Int64) {
        self.kind = kind
        self.position = position
    }
}

/// Goes along one shard's chain in order and finds what was tampered with.
package struct ChainWalk: Sendable {
    package let shard: Shard
    package private(set) var faults: [ChainFault] = []
    /// How many entries were gone through.
    package private(set) var entries: Int64 = 0
    private var position: Int64 = 0
    private var head: [UInt8]
    private let digest: ChainDigest
    /// What was signed: the hashes of entries by their positions.
    private let signed: [Int64: [UInt8]]
    /// After so many the rest is not listed: one edit is enough to know.
    private static let faultLimit = 100

    /// `genesis` is what the first entry follows; `signed` are the ends that the chain had at other times. Where the beginning of
    /// the chain was let go of, `anchor` is the position of the last entry that is gone and `genesis` its hash: of ends
    /// before it nothing can be said any more.
    package init(
        shard: Shard, genesis: [UInt8], anchor: Int64 = 0, signed: [Int64: [UInt8]] = [:],
        digest: @escaping ChainDigest
    ) {
        self.shard = shard
        self.signed = signed
        self.digest = digest
        head = genesis
        position = anchor
        if anchor > 0, let signed = signed[anchor], signed != genesis { report(.rewritten, anchor) }
    }

    /// Takes the next entry, in ascending position.
    package mutating func take(_ link: some ChainLink) {
        entries += 1
        if link.position != position + 1 || link.previousHash != head || link.shard != shard {
            report(.broken, link.position)
        }
        if digest(link.canonicalBytes()) != link.hash { report(.edited, link.position) }
        if let signed = signed[link.position], signed != link.hash { report(.rewritten, link.position) }
        position = link.position
        head = link.hash
    }

    /// Compares the end with the recorded one.
    package mutating func finish(position recorded: Int64, head recordedHead: [UInt8]) {
        if recorded != position || recordedHead != head { report(.truncated, max(recorded, position)) }
        if let last = signed.keys.max(), last > position { report(.truncated, last) }
    }

    package mutating func report(_ kind: ChainFault.Kind, _ position: Int64) {
        if faults.count < Self.faultLimit { faults.append(ChainFault(kind: kind, position: position)) }
    }
}
