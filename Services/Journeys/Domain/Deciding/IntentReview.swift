package import Models

/// A message that was asked of delivery, as it was told last.
package struct ToldIntent: Hashable, Sendable {
    package var id: IntentID
    package var instanceID: InstanceID
    package var step: String
    package var visit: Int
    /// Whose message it was said to be.
    package var profileID: ProfileID
    package var at: Instant
    /// Whether it was taken back since.
    package var isWithdrawn: Bool

    package init(
        id: IntentID, instanceID: InstanceID, step: String, visit: Int, profileID: ProfileID, at: Instant,
        isWithdrawn: Bool
    ) {
        self.id = id
        self.instanceID = instanceID
        self.step = step
        self.visit = visit
        self.profileID = profileID
        self.at = at
        self.isWithdrawn = isWithdrawn
    }
}

/// Says what is true of the messages that one of two people was to get, when the merge of the two was undone.
///
/// Whether a message has gone out is not known here; delivery takes a correction for what is still to be sent alone.
package struct IntentReview: Sendable {
    /// How a passage is named with what it asks for: the same send is the same message, whatever its instant.
    private struct Send: Hashable {
        var instanceID: InstanceID
        var step: String
        var visit: Int
    }

    private let owner: ProfileID
    private let wanted: [Send: Instant]
    private let isTold: @Sendable (InstanceID) -> Bool

    /// `wanted` is what the person would have been to get, by going through their facts again. Of a passage for which
    /// `isTold` is false that doesn't tell: the journey stands still or is no more, and what it asked for stays.
    package init(
        of owner: ProfileID, wanted: [SendIntent], isTold: @escaping @Sendable (InstanceID) -> Bool
    ) {
        self.owner = owner
        self.isTold = isTold
        self.wanted = Dictionary(
            wanted.map { intent in
                let visit = intent.variables["journey"]?["visit"]?.integer.map { Int($0) } ?? 1
                return (
                    Send(instanceID: intent.instanceID, step: intent.step, visit: visit), intent.at
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    /// What is to be said of the messages of this person's passages; those that are too old to be sent are left out.
    package func corrections(
        of told: [ToldIntent], undoing mergeID: MergeID, at now: Instant
    ) -> [IntentCorrection] {
        told.compactMap { intent in
            guard let correction = correction(of: intent, undoing: mergeID) else { return nil }
            return now - correction.at > SendIntent.lifetime ? nil : correction
        }
    }

    private func correction(of told: ToldIntent, undoing mergeID: MergeID) -> IntentCorrection? {
        // What was taken back would be late by now; when its time is yet to come, the passage asks for it again.
        guard !told.isWithdrawn else { return nil }
        let send = Send(instanceID: told.instanceID, step: told.step, visit: told.visit)
        guard let due = isTold(told.instanceID) ? wanted[send] : told.at else {
            return IntentCorrection(.withdrawn, told.id, of: owner, at: told.at, mergeID: mergeID)
        }
        // What the other did may have brought it forward, never put it off; a pause of the journey may have.
        let at = max(due, told.at)
        guard at != told.at || owner != told.profileID else { return nil }
        return IntentCorrection(.restated, told.id, of: owner, at: at, mergeID: mergeID)
    }
}
