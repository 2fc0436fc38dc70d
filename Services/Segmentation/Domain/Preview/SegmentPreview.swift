package import Models

/// Whom a rule that is not stored would have: the rules in force with one more, decided by the same code.
package struct SegmentPreview: Sendable {
    /// No stored segment can be called this.
    private static let id = "~preview"

    let decider: SegmentDecider

    package init(_ condition: Condition, beside set: SegmentSet) {
        let draft = SegmentDefinition(id: Self.id, version: 1, condition: condition)
        decider = SegmentDecider(
            SegmentSet(revision: set.revision + 1, segments: set.segments + [draft]))
    }

    /// Whether what stands about consent has to be among the events.
    package var asksForConsent: Bool { !decider.set.purposes.isEmpty }

    /// Whether a profile would be in it at `now`, or at the latest decided instant if that is later.
    ///
    /// `state` is where the profile stands in the segments in force, nil when nothing was decided for it yet; `events`
    /// are those that the state includes, in any order.
    package func holds(
        for profile: ProfileID, _ state: ProfileState?, with events: [TrackingEvent], at now: Instant
    ) -> Bool {
        var state = state ?? ProfileState(revision: 0)
        _ = decider.refresh(&state, with: events, now: now, of: profile)
        return state.segments[Self.id]?.isMember ?? false
    }
}
