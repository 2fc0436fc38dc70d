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

        init(instanceID: InstanceID, step: String, visit: Int) {
            (self.instanceID, self.step, self.visit) = (instanceID, step, visit)
        }

        init(_ intent: SendIntent) {
            self.init(
                instanceID: intent.instanceID, step: intent.step,
                visit: intent.variables["journey"]?["visit"]?.integer.map { Int($0) } ?? 1)
        }
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
            wanted.map { (Send($0), $0.at) }, uniquingKeysWith: { first, _ in first })
    }

    /// What is to be said of the messages of this person's passages; those that are too old to be sent are left out. From
    /// `unfired` on timers have not been fired: what falls due by them has yet to be asked for.
    package func corrections(
        of told: [ToldIntent], undoing mergeID: MergeID, at now: Instant, unfired: Instant = .distantFuture
    ) -> [IntentCorrection] {
        told.compactMap { intent in
            guard let correction = correction(of: intent, undoing: mergeID, unfired) else { return nil }
            return now - correction.at > SendIntent.lifetime ? nil : correction
        }
    }

    /// What is asked for by timers that have not been fired.
    package static func due(
        _ wanted: [SendIntent], beside told: [ToldIntent], unfired: Instant
    ) -> [SendIntent] {
        let told = Set(told.map { Send(instanceID: $0.instanceID, step: $0.step, visit: $0.visit) })
        return wanted.filter { $0.at >= unfired && !told.contains(Send($0)) }
    }

    private func correction(
        of told: ToldIntent, undoing mergeID: MergeID, _ unfired: Instant
    ) -> IntentCorrection? {
        let send = Send(instanceID: told.instanceID, step: told.step, visit: told.visit)
        guard !told.isWithdrawn else {
            // It would be late by now; when its time is yet to come, the passage asks for it again.
            guard let due = wanted[send], due >= unfired else { return nil }
            return IntentCorrection(.renewed, told.id, of: owner, at: due, mergeID: mergeID)
        }
        guard let due = isTold(told.instanceID) ? wanted[send] : told.at else {
            return IntentCorrection(.withdrawn, told.id, of: owner, at: told.at, mergeID: mergeID)
        }
        // What the other did may have brought it forward. Where something put it off, a pause of the journey for one, the
        // time since then doesn't make the message older.
        let at = max(due, told.at)
        guard at != told.at || owner != told.profileID else { return nil }
        return IntentCorrection(.restated, told.id, of: owner, at: at, mergeID: mergeID)
    }
}
