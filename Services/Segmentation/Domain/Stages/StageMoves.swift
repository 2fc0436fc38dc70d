package import Models

/// The stages that a profile came into, read from how it entered and left them one by one.
package enum StageMoves {
    /// What the changes of stages among those of one decision come to; the others are passed over.
    ///
    /// What an event changes, or time at one instant, is one step. So is all that a merge, its undoing, changed
    /// definitions or an erasure changes, though of these an entry may be told as of long ago.
    package static func steps(in changes: [MembershipChange]) -> [StageChange] {
        var steps: [[MembershipChange]] = []
        for change in changes where SegmentDefinition.stage(ofKey: change.segment) != nil {
            if let last = steps.last?.last, belongTogether(last, change) {
                steps[steps.count - 1].append(change)
            } else {
                steps.append([change])
            }
        }
        return steps.compactMap(step)
    }

    private static func belongTogether(_ one: MembershipChange, _ other: MembershipChange) -> Bool {
        guard one.reason == other.reason, one.profileID == other.profileID else { return false }
        switch one.reason {
        case .event, .time: return one.at == other.at
        case .merge, .unmerge, .definition, .erasure: return true
        }
    }

    private static func step(_ changes: [MembershipChange]) -> StageChange? {
        let entered = changes.last { $0.change == .entered }
        let exited = changes.first { $0.change == .exited }
        guard let told = entered ?? exited else { return nil }
        return StageChange(
            profileID: told.profileID, stage: entered.flatMap { SegmentDefinition.stage(ofKey: $0.segment) },
            previous: exited.flatMap { SegmentDefinition.stage(ofKey: $0.segment) }, at: told.at,
            version: told.version, reason: told.reason, evidence: told.evidence)
    }
}
