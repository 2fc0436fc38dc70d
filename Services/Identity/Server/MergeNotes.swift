import Models
import Sealing

/// What operators write about merges and proposals, which may tell of the person: sealed under identity's key of the day from the moment
/// it comes in, and opened for the API and for requests of access. Facts go without it.
struct MergeNotes: Sendable {
    let days: DayKeys

    func seal(_ note: String, of id: MergeID, at now: Instant) async throws -> String {
        try await days.key(at: now).seal(note, at: Self.place(of: id))
    }

    /// The merge with what was written about it.
    func opened(_ merge: StoredMerge) async throws -> StoredMerge {
        var merge = merge
        merge.cause = try await opened(cause: merge.cause, of: merge.id)
        if let note = merge.undone?.note {
            merge.undone?.note = try await days.open(note, at: Self.place(of: merge.id))
        }
        if let note = merge.allowed?.note {
            merge.allowed?.note = try await days.open(note, at: Self.place(of: merge.id))
        }
        return merge
    }

    func seal(_ note: String, of id: MatchingProposalID, at now: Instant) async throws -> String {
        try await days.key(at: now).seal(note, at: Self.place(of: id))
    }

    /// The proposal with what was written about it, and the ids of the records in it.
    func opened(_ proposal: MatchingProposal) async throws -> MatchingProposal {
        var proposal = proposal
        if let name = proposal.leftName, let place = proposal.left.record {
            proposal.leftName = try await days.open(name, at: ImportedRecord.namePlace(of: place))
        }
        if let name = proposal.rightName, let place = proposal.right.record {
            proposal.rightName = try await days.open(name, at: ImportedRecord.namePlace(of: place))
        }
        if let note = proposal.note {
            proposal.note = try await days.open(note, at: Self.place(of: proposal.id))
        }
        return proposal
    }

    private static func place(of id: MatchingProposalID) -> String { "identity.matching_proposal.note \(id)" }

    /// What was written about a merge, as it is kept.
    func opened(_ note: String?, of id: MergeID) async throws -> String? {
        guard let note else { return nil }
        return try await days.open(note, at: Self.place(of: id))
    }

    /// The cause of a merge with what was written about it.
    func opened(cause: JSON, of id: MergeID) async throws -> JSON {
        guard case .object(var members) = cause, let note = members["note"]?.string else { return cause }
        members["note"] = try await days.open(note, at: Self.place(of: id)).map { .string($0) }
        return .object(members)
    }

    private static func place(of id: MergeID) -> String { "profiles.merge.note \(id)" }
}

extension ProfileFact {
    /// The fact as everybody may know it. What was written about a merge is asked for by its id.
    var withoutNote: ProfileFact {
        switch self {
        case .merge(let id, let merged, let mergeID, let at, .object(var cause)):
            cause["note"] = nil
            return .merge(profileID: id, merged: merged, mergeID: mergeID, at: at, cause: .object(cause))
        case .unmerge(let id, let split, let members, let mergeID, let at, .object(var cause)):
            cause["note"] = nil
            return .unmerge(
                profileID: id, split: split, members: members, mergeID: mergeID, at: at,
                cause: .object(cause))
        default: return self
        }
    }
}
