import IdentityDomain
import Models

/// What matching finds among people and records. Computes for long; to be made off the threads that answer requests.
struct MatchingFindings: Sendable {
    private let columns: MatchingColumns
    private let matching: RecordMatching
    private let proposals: [MatchProposal]
    private let groups: [Int]

    var comparedPairs: Int { matching.compared }

    init(
        _ columns: MatchingColumns, _ mapping: MatchMapping, _ policy: MatchPolicy,
        _ progress: MatchingProgress
    ) {
        self.columns = columns
        let table = MatchTable(mapping.schema, columns: columns.columns, workers: MatchingCompute.workers)
        matching = RecordMatching(table, policy: policy, workers: MatchingCompute.workers) { step in
            switch step {
            case .blocking: progress.begin(.blocking)
            case .learning: progress.begin(.learning)
            case .comparing: progress.begin(.comparing)
            }
        }
        progress.begin(.grouping)
        groups = matching.groups()
        proposals = matching.proposals()
    }

    /// What is to be done about it, with the explanation of each step.
    func steps(
        rejected: Set<MatchingCouple>, separated: Set<MatchingCouple>, automatic: Bool
    ) -> (steps: [MatchingPlanStore.NewStep], passedOver: Int) {
        let places = Dictionary(
            (0..<columns.count).map { (columns.end($0), $0) }, uniquingKeysWith: { first, _ in first })
        func pairs(_ couples: Set<MatchingCouple>) -> [(Int, Int)] {
            couples.compactMap { couple in
                guard let left = places[couple.first], let right = places[couple.second] else { return nil }
                return (left, right)
            }
        }
        let plan = MatchPlan(
            proposals, groups: groups,
            MatchPlan.Circumstances(
                known: columns.known, rejected: pairs(rejected), separated: pairs(separated),
                profiles: columns.ids.count),
            automatic: automatic)
        let steps = plan.steps.map { step in
            let explanation = matching.explain(step.a, step.b)
            return MatchingPlanStore.NewStep(
                step: step, left: columns.end(step.a), right: columns.end(step.b),
                probability: step.probability, explanation: explanation.json)
        }
        return (steps, plan.passedOver)
    }
}
