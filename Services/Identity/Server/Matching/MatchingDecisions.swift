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
        /// Nothing is left of the record.
        case recordGone
    }

    let resolution: Resolution
    let records: MatchingRecordStore
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
        let linking = try await MatchingLinking([found], resolution, records, in: transaction)
        guard let proposal = try await MatchingProposalStore.lock(id, in: transaction) else {
            throw Refusal.unknown
        }
        guard proposal.state == .pending else { throw Refusal.decided(proposal.state) }
        guard !proposal.isMoot else { throw Refusal.moot }
        var sealed = step
        if let note = step.note { sealed.note = try await notes.seal(note, of: id, at: step.at) }
        switch decision {
        case .accept:
            let merge = try await accept(proposal, linking, step, traceparent: traceparent, in: transaction)
            try await MatchingProposalStore.decide(id, .accepted, sealed, merge: merge, in: transaction)
        case .reject:
            try await MatchingProposalStore.decide(id, .rejected, sealed, merge: nil, in: transaction)
        }
        try await MatchingRecordStore.release(proposal.records, at: step.at, in: transaction)
        guard let decided = try await MatchingProposalStore.find(id, in: transaction) else {
            throw Refusal.unknown
        }
        return decided
    }

    private func accept(
        _ proposal: MatchingProposal, _ linking: MatchingLinking, _ step: StoredMerge.Step,
        traceparent: String?, in transaction: PostgresTransaction
    ) async throws -> MergeID {
        var linking = linking
        let id = MergeID(UUIDv7.make(at: step.at))
        var note: String?
        if let written = step.note { note = try await notes.seal(written, of: id, at: step.at) }
        let order = MergeOrder(
            id: id, cause: proposal.cause(by: step.by ?? "", note: note), at: step.at, isExplicit: true)
        do {
            _ = try linking.join(proposal.left, proposal.right, because: order)
        } catch is MergeRefusal {
            // Erased, or one by now: nothing that anybody is to be asked.
            throw Refusal.moot
        } catch is MatchingLinking.RecordGone {
            throw proposal.records.isEmpty ? Refusal.moot : Refusal.recordGone
        }
        let resolver = linking.resolver
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in traceparent }, having: linking.keys,
            at: step.at, in: transaction)
        return id
    }
}
