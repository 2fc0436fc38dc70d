import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Merges that no event asks for, and taking merges back: each inside a transaction of the caller's.
struct Merging {
    private let resolution: Resolution
    private let store: ResolutionStore
    private let people = PeopleStore()

    init(resolution: Resolution, key: IdentifierKey) {
        self.resolution = resolution
        store = ResolutionStore(key: key)
    }

    /// Joins the people of two profiles by a rule or an operator.
    func merge(
        _ left: ProfileID, with right: ProfileID, because order: MergeOrder, traceparent: String? = nil,
        in transaction: PostgresTransaction
    ) async throws -> StoredMerge {
        var resolver = try await resolution.resolver(profiles: [left, right], in: transaction)
        do {
            try resolver.merge(left, with: right, because: order)
        } catch let refusal {
            // What was refused because it had been undone is reported there.
            if case .undone = refusal {
                try await resolution.write(resolver, traceparents: [], at: order.at, in: transaction)
            }
            throw refusal
        }
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in traceparent }, at: order.at, in: transaction)
        guard let merge = try await MergeStore.find(order.id, in: transaction) else {
            throw RetryLater("the merge was not written")
        }
        return merge
    }

    /// Takes a merge back. Profiles, identifiers, traits and the timeline follow at once, because they are kept
    /// under the profile that they arrived under; what others derive follows from the facts.
    func undo(
        _ id: MergeID, _ step: StoredMerge.Step, traceparent: String? = nil,
        in transaction: PostgresTransaction
    ) async throws -> StoredMerge {
        guard let found = try await MergeStore.find(id, in: transaction) else { throw UndoRefusal.unknown }
        let states = try await store.lockProfiles([found.survivorMember], in: transaction)
        // Only now does nobody else change the edges of this person.
        guard let merge = try await MergeStore.lock(id, in: transaction) else { throw UndoRefusal.unknown }
        guard merge.undone == nil else { throw UndoRefusal.undone }
        if states.contains(where: \.isErased) { throw UndoRefusal.erased }
        let members = try await people.members(of: [merge.survivorMember], in: transaction)
        let edges = try await MergeStore.standing(among: members, in: transaction)
        guard let split = MergeSplit(undoing: id, of: edges.map(\.edge), members: members) else {
            throw RetryLater("the person is being changed elsewhere")
        }
        try await MergeStore.undo(merge, step, in: transaction)
        try await MergeStore.restate(split.restated, in: transaction)
        try await MergeStore.split(split, at: step.at, in: transaction)
        try await MergeStore.note(undoing: id, of: members, at: step.at, in: transaction)
        var cause: [String: JSON] = ["kind": "operator"]
        cause["by"] = step.by.map { .string($0) }
        cause["note"] = step.note.map { .string($0) }
        let facts: [ProfileFact] = [
            .unmerge(
                profileID: split.remaining, split: split.split, members: split.members, mergeID: id,
                at: step.at, cause: .object(cause)),
            .unmergedFrom(
                profileID: split.split, former: split.remaining, members: split.members, mergeID: id,
                at: step.at),
        ]
        try await resolution.publish(
            facts.map { TimelineStore.NewFact(fact: $0, traceparent: traceparent) }, at: step.at,
            in: transaction)
        var undone = merge
        undone.undone = step
        return undone
    }

    /// Lets evidence make an undone merge again.
    func allow(
        _ id: MergeID, _ step: StoredMerge.Step, in transaction: PostgresTransaction
    ) async throws -> StoredMerge {
        guard var merge = try await MergeStore.lock(id, in: transaction) else { throw UndoRefusal.unknown }
        guard merge.undone != nil else { throw UndoRefusal.standing }
        guard merge.allowed == nil else { return merge }
        try await MergeStore.allow(id, step, in: transaction)
        merge.allowed = step
        return merge
    }
}

/// Why a merge is not taken back, or not allowed again.
enum UndoRefusal: Error, Hashable {
    case unknown, undone, standing, erased
}
