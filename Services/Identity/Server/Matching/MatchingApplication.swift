import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore

/// Carries out what a job has found, some steps in a transaction: the merges, what becomes of each step, and how far the
/// job is are one commit. Everything is asked once more under the locks of the people, because other things have happened
/// since they were read.
struct MatchingApplication: Sendable {
    let resolution: Resolution

    /// Takes the next steps of a job that is locked, and counts them in it; false when there were none.
    func step(
        _ job: inout MatchingJob, limit: Int, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let steps = try await MatchingPlanStore.next(limit, of: job, in: transaction)
        guard !steps.isEmpty else { return false }
        var resolver = try await resolution.resolver(
            profiles: Set(steps.flatMap { [$0.left, $0.right] }), in: transaction)
        let people = Set(steps.flatMap { [resolver.root(of: $0.left), resolver.root(of: $0.right)] }).sorted()
        var answered = Answered(
            rejected: try await MatchingProposalStore.rejections(among: people, in: transaction),
            pending: try await MatchingProposalStore.pending(among: people, in: transaction))
        var outcomes: [(step: MatchingProposal, outcome: MatchingPlanStore.Outcome)] = []
        for step in steps {
            let outcome = Self.carryOut(step, &resolver, &answered, counts: &job.counts, at: now)
            outcomes.append((step, outcome))
        }
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in nil }, at: now, in: transaction)
        try await MatchingPlanStore.settle(outcomes, at: now, in: transaction)
        job.counts.stepsDone += Int64(steps.count)
        return true
    }

    /// What somebody was asked before, and what they said, by who is who when the steps began.
    private struct Answered {
        let rejected: Set<MatchingProposalStore.Couple>
        var pending: [MatchingProposalStore.Couple: MatchingProposalID]

        func isRejected(_ left: ProfileID, _ right: ProfileID, _ resolver: Resolver) -> Bool {
            let asked = MatchingProposalStore.Couple(left, right)
            return rejected.contains {
                MatchingProposalStore.Couple(resolver.root(of: $0.first), resolver.root(of: $0.second))
                    == asked
            }
        }

        func asked(_ left: ProfileID, _ right: ProfileID, _ resolver: Resolver) -> MatchingProposalID? {
            let asked = MatchingProposalStore.Couple(left, right)
            return pending.filter {
                MatchingProposalStore.Couple(
                    resolver.root(of: $0.key.first), resolver.root(of: $0.key.second))
                    == asked
            }.map(\.value).min()
        }
    }

    private static func carryOut(
        _ step: MatchingProposal, _ resolver: inout Resolver, _ answered: inout Answered,
        counts: inout MatchingJob.Counts, at now: Instant
    ) -> MatchingPlanStore.Outcome {
        let (left, right) = (resolver.root(of: step.left), resolver.root(of: step.right))
        let states = [left, right].map { resolver.profile($0) }
        if left == right || states.contains(where: { $0?.isErased ?? true }) {
            counts.moot += 1
            return .dropped
        }
        if answered.isRejected(left, right, resolver) {
            counts.rejectedBefore += 1
            return .dropped
        }
        let isSeparated = resolver.undoneMerge(between: left, and: right) != nil
        guard step.kind == .merge else {
            if isSeparated {
                counts.withheld += 1
                return .dropped
            }
            return ask(step, left, right, step.doubt, resolver, &answered, &counts)
        }
        let order = MergeOrder(
            id: MergeID(UUIDv7.derived(at: now, from: "matching merge", step.id.description)),
            cause: step.cause(), at: now, isExplicit: false)
        do {
            let merge = try resolver.merge(step.left, with: step.right, because: order)
            counts.merged += 1
            return .merged(merge.id)
        } catch {
            switch error {
            case .bothKnown where !isSeparated:
                return ask(step, left, right, .bothKnown, resolver, &answered, &counts)
            case .bothKnown, .undone:
                counts.withheld += 1
            case .alreadyOne, .erased, .unknownProfile:
                counts.moot += 1
            }
            return .dropped
        }
    }

    private static func ask(
        _ step: MatchingProposal, _ left: ProfileID, _ right: ProfileID, _ doubt: MatchPlan.Doubt?,
        _ resolver: Resolver, _ answered: inout Answered, _ counts: inout MatchingJob.Counts
    ) -> MatchingPlanStore.Outcome {
        counts.proposed += 1
        if let id = answered.asked(left, right, resolver) { return .renewed(id) }
        answered.pending[MatchingProposalStore.Couple(left, right)] = step.id
        return .asked(doubt)
    }
}
