package import Models

extension SegmentDecider {
    /// How often one forecast looks at the next deadline: some rules come to instants at which they keep their truth.
    private static let looks = 200

    /// What time alone will change if nothing happens, in its order, up to so many changes: by the code that will make
    /// them, each at its exact instant. Evidence shows them as if they had been.
    package func forecast(from state: ProfileState, of profile: ProfileID, limit: Int) -> [MembershipFact] {
        var ahead = state
        var facts: [MembershipFact] = []
        for _ in 0..<Self.looks {
            guard facts.count < limit, let due = nextDeadline(ahead) else { break }
            let changes = advance(&ahead, to: due, of: profile)
            facts += changes.filter { SegmentDefinition.isValid(id: $0.segment) }.map { .changed($0) }
            facts += StageMoves.steps(in: changes).map { .stage($0) }
        }
        return Array(facts.prefix(limit))
    }
}
