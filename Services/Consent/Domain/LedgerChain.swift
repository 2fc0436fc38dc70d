package import Models

/// A hash function: SHA-256 outside of tests of this module.
package typealias Digest = ChainDigest

/// What the ledger keeps of an entry for ever.
///
/// It names no person. Who it was about and the evidence are committed to by salted digests; the person, the
/// evidence and the salt are kept beside it and destroyed on erasure. The entry then still proves that somebody
/// granted, denied or withdrew, and that nothing was removed, but no longer who.
package struct SealedEntry: ChainLink, Hashable {
    package var shard: Shard
    /// 1, 2, 3, … without gaps within the shard.
    package var position: Int64
    package var id: LedgerEntryID
    package var subjectDigest: [UInt8]
    package var evidenceDigest: [UInt8]
    package var purpose: String
    package var action: ConsentAction
    package var source: String
    package var textVersion: String?
    package var locale: String?
    package var policyVersion: Int64?
    package var occurredAt: Instant
    package var recordedAt: Instant
    /// The hash of the entry before; of the first, ``LedgerChain/genesis(of:digest:)``.
    package var previousHash: [UInt8]
    package var hash: [UInt8]

    package init(
        shard: Shard, position: Int64, id: LedgerEntryID, subjectDigest: [UInt8], evidenceDigest: [UInt8],
        purpose: String, action: ConsentAction, source: String, textVersion: String?, locale: String? = nil,
        policyVersion: Int64? = nil, occurredAt: Instant, recordedAt: Instant, previousHash: [UInt8],
        hash: [UInt8]
    ) {
        self.shard = shard
        self.position = position
        self.id = id
        self.subjectDigest = subjectDigest
        self.evidenceDigest = evidenceDigest
        self.purpose = purpose
        self.action = action
        self.source = source
        self.textVersion = textVersion
        self.locale = locale
        self.policyVersion = policyVersion
        self.occurredAt = occurredAt
        self.recordedAt = recordedAt
        self.previousHash = previousHash
        self.hash = hash
    }

    /// The bytes that the hash is taken of: a canonical JSON array, so that no two entries share them.
    package func canonicalBytes() -> [UInt8] {
        var members: [JSON] = [
            .integer(Int64(shard.number)), .integer(position), .string(id.description),
            .string(hexadecimal(subjectDigest)), .string(hexadecimal(evidenceDigest)), .string(purpose),
            .string(action.rawValue), .string(source), textVersion.map { .string($0) } ?? .null,
            .string(occurredAt.rfc3339), .string(recordedAt.rfc3339), .string(hexadecimal(previousHash)),
        ]
        // What was hashed before there were these has to come to the same bytes still.
        if locale != nil || policyVersion != nil {
            members += [locale.map { .string($0) } ?? .null, policyVersion.map { .integer($0) } ?? .null]
        }
        var bytes: [UInt8] = []
        JSON.array(members).write(into: &bytes)
        return bytes
    }
}

/// The part of an entry that names the person; destroyed on erasure.
package struct EntrySubject: Hashable, Sendable {
    package let profileID: ProfileID
    /// The evidence as the exact text that was committed to.
    package let evidence: String
    package let salt: [UInt8]

    package init(profileID: ProfileID, evidence: String, salt: [UInt8]) {
        self.profileID = profileID
        self.evidence = evidence
        self.salt = salt
    }

    func subjectDigest(_ digest: Digest) -> [UInt8] {
        digest(Array("subject".utf8) + salt + Array(profileID.description.utf8))
    }

    func evidenceDigest(_ digest: Digest) -> [UInt8] {
        digest(Array("evidence".utf8) + salt + Array(evidence.utf8))
    }
}

/// The end of one shard's chain, to which entries are appended.
package struct LedgerChain: Sendable {
    package let shard: Shard
    /// The position of the last entry; 0 when there is none.
    package private(set) var position: Int64
    package private(set) var head: [UInt8]
    private let digest: Digest

    package init(shard: Shard, position: Int64, head: [UInt8], digest: @escaping Digest) {
        self.shard = shard
        self.position = position
        self.head = head
        self.digest = digest
    }

    /// What the first entry of a shard follows.
    package static func genesis(of shard: Shard, digest: Digest) -> [UInt8] {
        digest(Array("martlet consent ledger, shard \(shard.number)".utf8))
    }

    /// Appends an entry.
    package mutating func seal(_ entry: LedgerEntry, subject: EntrySubject) -> SealedEntry {
        var sealed = SealedEntry(
            shard: shard, position: position + 1, id: entry.id,
            subjectDigest: subject.subjectDigest(digest), evidenceDigest: subject.evidenceDigest(digest),
            purpose: entry.purpose, action: entry.action, source: entry.source,
            textVersion: entry.textVersion, locale: entry.locale, policyVersion: entry.policyVersion,
            occurredAt: entry.occurredAt, recordedAt: entry.recordedAt, previousHash: head, hash: [])
        sealed.hash = digest(sealed.canonicalBytes())
        position = sealed.position
        head = sealed.hash
        return sealed
    }
}
