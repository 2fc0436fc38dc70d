package import Models

/// Decides memberships: `(definitions, state, fact | deadline) → (state, changes)`.
///
/// Time here is the time of the facts. A fact that happened at t first lets every deadline up to and including t
/// fire, each at its own instant; then it takes effect at t. So a history that is read in years later gives the
/// same changes at the same instants as if it had been seen live. A fact from before the latest decided instant is
/// late: it is put where it belongs, and what it changes is changed at that latest instant; the changes already
/// told stay told.
///
/// A state of other definitions is brought to these first, by whoever holds the timeline (`Rebuilding`).
package struct SegmentDecider: Sendable {
    package let set: SegmentSet

    package init(_ set: SegmentSet) {
        self.set = set
    }

    /// The state of a profile that is seen for the first time.
    package func newState() -> ProfileState {
        ProfileState(revision: set.revision, layout: set.layout)
    }

    /// When an event takes effect: when it happened, but not later than it arrived, since a sender's clock that is
    /// ahead must not pull a profile into the future.
    package static func instant(of event: TrackingEvent) -> Instant {
        min(event.timestamp, event.receivedAt)
    }

    /// Whether a state is one of these definitions, so that it can be decided on.
    package func isOfThese(_ state: ProfileState) -> Bool { state.layout.key == set.layout.key }

    /// Takes in an event and returns the changes in the order of their instants.
    package func apply(_ event: TrackingEvent, to state: inout ProfileState, of profile: ProfileID)
        -> [MembershipChange]
    {
        guard isOfThese(state) else {
            assertionFailure("the state has to be brought to the definitions first")
            return []
        }
        let instant = Self.instant(of: event)
        let isFirst = state.decidedAt == .distantPast
        var changes = advance(&state, to: instant, of: profile)
        state.decidedAt = max(state.decidedAt, instant)
        let latest = state.decidedAt
        var touched: [Int] = []
        touched.reserveCapacity(32)
        for slot in set.slots(for: event) {
            let condition = set.conditions[slot]
            let changed = state.withMemory(slot) { memory in
                memory.take(event, for: condition, at: instant, decided: latest)
            }
            if changed { touched += set.users[slot] }
        }
        for slot in state.forget(beyond: set.room) { touched += set.users[slot] }
        if isFirst {
            // Some rules hold for a profile that has done nothing, so the first fact decides them all.
            touched = Array(set.segments.indices)
        } else if set.hasReferences {
            touched += touched.flatMap { set.dependents(of: $0) }
        }
        guard !touched.isEmpty else { return changes }
        let cause =
            event.consent.map {
                Cause.consent(purpose: $0.purpose, ledgerEntry: $0.ledgerEntry, at: instant)
            } ?? .event(event.messageID, at: instant)
        touched.sort()
        var last = -1
        for place in touched where place != last {
            last = place
            if let change = decide(place, &state, now: latest, cause, of: profile) { changes.append(change) }
        }
        return changes
    }

    /// Lets every deadline up to and including `instant` fire, in due order.
    package func advance(
        _ state: inout ProfileState, to instant: Instant, of profile: ProfileID
    ) -> [MembershipChange] {
        guard isOfThese(state) else {
            assertionFailure("the state has to be brought to the definitions first")
            return []
        }
        var changes: [MembershipChange] = []
        while let due = state.nextDeadline, due <= instant {
            // In the order of their ids, which is that of the places.
            for place in state.places(due: due) {
                if let change = decide(place, &state, now: due, .time, of: profile) { changes.append(change) }
            }
            state.decidedAt = max(state.decidedAt, due)
        }
        return changes
    }

    /// The next deadline; none while the state is one of other definitions.
    package func nextDeadline(_ state: ProfileState) -> Instant? {
        isOfThese(state) ? state.nextDeadline : nil
    }

    /// The state as far as it belongs to the definitions in force, to be looked at.
    package func seen(_ state: ProfileState) -> ProfileState { isOfThese(state) ? state : known(in: state) }

    /// What a rule may look at besides its memories.
    func surroundings(of definition: SegmentDefinition, _ state: ProfileState) -> Surroundings {
        definition.rule.refers
            ? Surroundings(set: set, state: state, byNextRules: definition.isNext) : .none
    }

    /// What a rule remembers in a state of these definitions.
    func memories(of place: Int, _ state: ProfileState) -> Memories {
        Memories(state, slots: set.slots[place])
    }

    /// Where a profile stands in a segment, by the rule in force; nil while its state does not belong to that.
    package func standing(in id: String, of state: ProfileState) -> SegmentState? {
        seen(state).standing(in: id)
    }

    /// Why a profile is in a segment or is not, at an instant that is not before the decided one; nil while its state does
    /// not belong to the rule in force.
    package func explain(_ id: String, of state: ProfileState, at instant: Instant) -> Explanation? {
        let state = seen(state)
        guard let place = set.place(of: id), state.segmentState(at: place) != nil else { return nil }
        let definition = set.segments[place]
        return definition.rule.explain(
            memories(of: place, state), at: instant, in: surroundings(of: definition, state))
    }

    /// A score's definition with what is remembered for it; nil while the state does not belong to it.
    package func score(_ id: String, of state: ProfileState) -> (scoring: Scoring, memory: Memory)? {
        Surroundings(set: set, state: seen(state)).score(id).map { ($0.scoring, $0.memory) }
    }

    /// Compares what the rule says now with what was, and sets the next deadline.
    func decide(
        _ place: Int, _ state: inout ProfileState, now: Instant, _ cause: Cause, of profile: ProfileID,
        before version: Int? = nil
    ) -> MembershipChange? {
        // What the rule looked at is let go of first: the state is changed in place only if nobody else holds it.
        guard let outcome = outcome(place, state, now: now, cause, of: profile, before: version) else {
            return nil
        }
        state.update(place) { standing in
            standing.memberSince = outcome.memberSince
            standing.deadline = outcome.deadline
        }
        return outcome.change
    }

    private func outcome(
        _ place: Int, _ state: ProfileState, now: Instant, _ cause: Cause, of profile: ProfileID,
        before version: Int?
    ) -> (change: MembershipChange?, memberSince: Instant?, deadline: Instant?)? {
        let (rule, current, hasMembers) = set.rules[place]
        guard hasMembers else { return nil }
        let standing = state[place]
        let now = max(now, standing.decidesFrom)
        let surroundings = rule.refers ? surroundings(of: set.segments[place], state) : .none
        let memories = memories(of: place, state)
        let holds = rule.holds(memories, at: now, in: surroundings)
        let deadline = rule.nextChange(memories, from: holds, after: now, in: surroundings)
        guard holds != (standing.memberSince != nil) else { return (nil, standing.memberSince, deadline) }
        let evidence = Evidence(
            rule: rule, version: current,
            memories: Memories(own: set.remembered[place], of: state, slots: set.slots[place]),
            // The evidence shows the version of the rule that was in force before.
            previous: Evidence.Previous(version: version ?? current, memberSince: standing.memberSince),
            at: now, cause: cause, surroundings: surroundings)
        let change = MembershipChange(
            profileID: profile, segment: set.segments[place].id, change: holds ? .entered : .exited, at: now,
            version: current, reason: cause.reason, pending: evidence)
        return (change, holds ? now : nil, deadline)
    }
}
