import ConsentDomain
import Foundation
import Models
import Testing

@Suite("The chain of the ledger")
struct LedgerChainTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)
    private let shard = Shard.all[7]

    /// Stands in for SHA-256, which this module is given from outside.
    private let digest: ConsentDomain.Digest = { bytes in
        (0..<4).flatMap { part in
            let hash = StableHash.hash64(bytes: bytes + [UInt8(part)])
            return (0..<8).map { UInt8(truncatingIfNeeded: hash >> ($0 * 8)) }
        }
    }

    private typealias Line = (sealed: SealedEntry, subject: EntrySubject)

    private func chain(_ count: Int, using generator: inout SeededGenerator) -> (
        lines: [Line], end: LedgerChain
    ) {
        var chain = LedgerChain(
            shard: shard, position: 0, head: LedgerChain.genesis(of: shard, digest: digest), digest: digest)
        let lines = (0..<count).map { _ -> Line in
            let entry = LedgerEntry(
                id: LedgerEntryID(UUIDv7.make(at: now, random: (generator.next(), generator.next()))),
                profileID: ProfileID(UUIDv7.make(at: now, random: (generator.next(), generator.next()))),
                purpose: "marketing", action: Bool.random(using: &generator) ? .grant : .withdraw,
                source: "test", textVersion: "1", occurredAt: now, recordedAt: now, evidence: ["kind": "test"]
            )
            let subject = EntrySubject(
                profileID: entry.profileID, evidence: entry.evidence.compact,
                salt: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
            return (chain.seal(entry, subject: subject), subject)
        }
        return (lines, chain)
    }

    private func faults(
        _ lines: [Line], end: LedgerChain, erased: Set<Int64> = [], missing: Set<Int64> = []
    ) -> Set<ChainFault.Kind> {
        var verifier = ChainVerifier(shard: shard, digest: digest)
        for line in lines {
            let position = line.sealed.position
            verifier.take(
                line.sealed,
                erased.contains(position)
                    ? .erased : missing.contains(position) ? .missing : .known(line.subject))
        }
        verifier.finish(position: end.position, head: end.head)
        return Set(verifier.faults.map(\.kind))
    }

    @Test("an untouched chain has no faults, also with persons erased from it")
    func untouched() {
        var generator = seededGenerator()
        let (lines, end) = chain(20, using: &generator)
        #expect(faults(lines, end: end).isEmpty)
        #expect(faults(lines, end: end, erased: [1, 7, 20]).isEmpty)
        #expect(faults([], end: chain(0, using: &generator).end).isEmpty)
    }

    @Test("an edit, a removal, a swap, a cut end, another person and a vanished person are each found")
    func tampering() {
        var generator = seededGenerator()
        for _ in 0..<200 {
            let (lines, end) = chain(Int.random(in: 3...12, using: &generator), using: &generator)
            let victim = Int.random(in: 0..<lines.count, using: &generator)
            let other = (victim + 1) % lines.count

            var edited = lines
            edited[victim].sealed.action = edited[victim].sealed.action == .grant ? .withdraw : .grant
            #expect(faults(edited, end: end) == [.edited])

            var rehashed = edited
            rehashed[victim].sealed.hash = digest([1])
            #expect(!faults(rehashed, end: end).isEmpty)

            var removed = lines
            removed.remove(at: victim)
            #expect(faults(removed, end: end) == [victim == lines.count - 1 ? .truncated : .broken])

            var swapped = lines
            swapped.swapAt(victim, other)
            #expect(faults(swapped, end: end).contains(.broken))

            #expect(faults(lines.dropLast(), end: end) == [.truncated])

            var impersonated = lines
            impersonated[victim].subject = lines[other].subject
            #expect(faults(impersonated, end: end) == [.subjectAltered])

            #expect(faults(lines, end: end, missing: [Int64(victim + 1)]) == [.detached])
        }
    }
}
