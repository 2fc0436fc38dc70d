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
        // Several rules may have come into force since, so that a stage was come into and left again.
        let first = Dictionary(
            changes.map { ($0.segment, $0.change) }, uniquingKeysWith: { first, _ in first })
        let last = Dictionary(changes.map { ($0.segment, $0.change) }, uniquingKeysWith: { $1 })
        let entered = changes.last { $0.change == .entered && last[$0.segment] == .entered }
        let exited = changes.first { $0.change == .exited && first[$0.segment] == .exited }
        guard let told = entered ?? changes.last, entered != nil || exited != nil else { return nil }
        return StageChange(
            profileID: told.profileID, stage: entered.flatMap { SegmentDefinition.stage(ofKey: $0.segment) },
            previous: exited.flatMap { SegmentDefinition.stage(ofKey: $0.segment) }, at: told.at,
            version: told.version, reason: told.reason, evidence: told.evidence)
    }
}
