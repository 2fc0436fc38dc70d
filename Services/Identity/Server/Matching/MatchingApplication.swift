import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// Carries out what a job has found, some steps in a transaction: the merges, what becomes of each step and record, and how
/// far the job is are one commit. Everything is asked once more under the locks of the people, because other things have
/// happened since they were read.
struct MatchingApplication: Sendable {
    let resolution: Resolution
    let records: MatchingRecordStore

    /// Takes the next steps of a job that is locked, and counts them in it; false when there were none.
    func step(
        _ job: inout MatchingJob, limit: Int, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let steps = try await MatchingPlanStore.next(limit, of: job, in: transaction)
        guard !steps.isEmpty else { return false }
        var linking = try await MatchingLinking(steps, resolution, records, in: transaction)
        let ends = Set(steps.flatMap { [linking.now($0.left), linking.now($0.right)] })
        let people = ends.compactMap(\.profileID).sorted()
        let brought = Set(steps.flatMap(\.records)).sorted()
        var answered = Answered(
            rejected: try await MatchingProposalStore.rejections(among: people, brought, in: transaction),
            pending: try await MatchingProposalStore.pending(among: people, brought, in: transaction))
        var outcomes: [(step: MatchingProposal, outcome: MatchingPlanStore.Outcome)] = []
        for step in steps {
            let outcome = try Self.carryOut(step, &linking, &answered, counts: &job.counts, at: now)
            outcomes.append((step, outcome))
        }
        let resolver = linking.resolver
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in nil }, having: linking.keys, at: now,
            in: transaction)
        try await MatchingPlanStore.settle(outcomes, at: now, in: transaction)
        job.counts.stepsDone += Int64(steps.count)
        return true
    }

    /// What somebody was asked before, and what they said, by who is who when the steps began.
    private struct Answered {
        let rejected: Set<MatchingCouple>
        var pending: [MatchingCouple: MatchingProposalID]

        func isRejected(_ left: MatchingEnd, _ right: MatchingEnd, _ linking: MatchingLinking) -> Bool {
            let asked = MatchingCouple(left, right)
            return rejected.contains {
                MatchingCouple(linking.now($0.first), linking.now($0.second)) == asked
            }
        }

        func asked(
            _ left: MatchingEnd, _ right: MatchingEnd, _ linking: MatchingLinking
        ) -> MatchingProposalID? {
            let asked = MatchingCouple(left, right)
            return pending.filter {
                MatchingCouple(linking.now($0.key.first), linking.now($0.key.second)) == asked
            }.map(\.value).min()
        }
    }

    private static func carryOut(
        _ step: MatchingProposal, _ linking: inout MatchingLinking, _ answered: inout Answered,
        counts: inout MatchingJob.Counts, at now: Instant
    ) throws -> MatchingPlanStore.Outcome {
        let (left, right) = (linking.now(step.left), linking.now(step.right))
        if left == right || !linking.isThere(left) || !linking.isThere(right) {
            counts.moot += 1
            return .dropped
        }
        if answered.isRejected(left, right, linking) {
            counts.rejectedBefore += 1
            return .dropped
        }
        var isSeparated = false
        if let left = left.profileID, let right = right.profileID {
            isSeparated = linking.resolver.undoneMerge(between: left, and: right) != nil
        }
        guard step.kind == .merge else {
            if isSeparated {
                counts.withheld += 1
                return .dropped
            }
            return ask(step, left, right, step.doubt, linking, &answered, &counts)
        }
        if let doubt = doubt(left, right, linking) {
            return ask(step, left, right, doubt, linking, &answered, &counts)
        }
        let order = MergeOrder(
            id: MergeID(UUIDv7.derived(at: now, from: "matching merge", step.id.description)),
            cause: step.cause(), at: now, isExplicit: false)
        do {
            let merge = try linking.join(step.left, step.right, because: order)
            if left.record == nil, right.record == nil { counts.merged += 1 } else { counts.linked += 1 }
            return .merged(merge.id)
        } catch is MatchingLinking.RecordGone {
            counts.moot += 1
            return .dropped
        } catch let refusal as MergeRefusal {
            switch refusal {
            case .bothKnown where !isSeparated:
                return ask(step, left, right, .bothKnown, linking, &answered, &counts)
            case .bothKnown, .undone:
                counts.withheld += 1
            case .alreadyOne, .erased, .unknownProfile:
                counts.moot += 1
            }
            return .dropped
        }
    }

    /// Why somebody is asked whose a record is, before anything is made of it.
    private static func doubt(
        _ left: MatchingEnd, _ right: MatchingEnd, _ linking: MatchingLinking
    ) -> MatchPlan.Doubt? {
        guard left.record != nil || right.record != nil else { return nil }
        if left.record != nil, right.record != nil { return .noProfile }
        if linking.isKnown(left), linking.isKnown(right) { return .bothKnown }
        return linking.leadsElsewhere(left, right) ? .elsewhere : nil
    }

    private static func ask(
        _ step: MatchingProposal, _ left: MatchingEnd, _ right: MatchingEnd, _ doubt: MatchPlan.Doubt?,
        _ linking: MatchingLinking, _ answered: inout Answered, _ counts: inout MatchingJob.Counts
    ) -> MatchingPlanStore.Outcome {
        counts.proposed += 1
        if let id = answered.asked(left, right, linking) { return .renewed(id) }
        answered.pending[MatchingCouple(left, right)] = step.id
        return .asked(doubt)
    }
}
