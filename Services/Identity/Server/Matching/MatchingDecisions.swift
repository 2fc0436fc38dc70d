import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// What operators say of proposals, each inside a transaction of the caller's.
struct MatchingDecisions: Sendable {
    enum Decision: String, CaseIterable, Sendable { case accept, reject }

    /// Why nothing is decided.
    enum Refusal: Error {
        case unknown
        case decided(MatchingProposal.State)
        case moot
    }

    let merging: Merging
    let key: IdentifierKey
    let notes: MergeNotes

    /// Joins the two, or remembers that they are two.
    func decide(
        _ id: MatchingProposalID, _ decision: Decision, _ step: StoredMerge.Step, traceparent: String?,
        in transaction: PostgresTransaction
    ) async throws -> MatchingProposal {
        guard let found = try await MatchingProposalStore.find(id, in: transaction) else {
            throw Refusal.unknown
        }
        // The people first, as everybody does who writes to them.
        _ = try await ResolutionStore(key: key).lockProfiles([found.left, found.right], in: transaction)
        guard let proposal = try await MatchingProposalStore.lock(id, in: transaction) else {
            throw Refusal.unknown
        }
        guard proposal.state == .pending else { throw Refusal.decided(proposal.state) }
        guard proposal.leftRoot != proposal.rightRoot else { throw Refusal.moot }
        var sealed = step
        if let note = step.note { sealed.note = try await notes.seal(note, of: id, at: step.at) }
        switch decision {
        case .accept:
            let mergeID = MergeID(UUIDv7.make(at: step.at))
            var note: String?
            if let written = step.note { note = try await notes.seal(written, of: mergeID, at: step.at) }
            let order = MergeOrder(
                id: mergeID, cause: proposal.cause(by: step.by ?? "", note: note),
                at: step.at, isExplicit: true)
            let merge: StoredMerge
            do {
                merge = try await merging.merge(
                    proposal.left, with: proposal.right, because: order, traceparent: traceparent,
                    in: transaction)
            } catch is MergeRefusal {
                // Erased, or one by now: nothing that anybody is to be asked.
                throw Refusal.moot
            }
            try await MatchingProposalStore.decide(id, .accepted, sealed, merge: merge.id, in: transaction)
        case .reject:
            try await MatchingProposalStore.decide(id, .rejected, sealed, merge: nil, in: transaction)
        }
        guard let decided = try await MatchingProposalStore.find(id, in: transaction) else {
            throw Refusal.unknown
        }
        return decided
    }
}
