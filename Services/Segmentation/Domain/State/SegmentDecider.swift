package import Models

/// Decides memberships: `(definitions, state, fact | deadline) → (state, changes)`.
///
/// Time here is the time of the facts. A fact that happened at t first lets every deadline up to and including t
/// fire, each at its own instant; then it takes effect at t. So a history that is read in years later gives the
/// same changes at the same instants as if it had been seen live. A fact from before the latest decided instant is
/// late: it is put where it belongs, and what it changes is changed at that latest instant; the changes already
/// told stay told.
///
/// A segment whose stored version is not that of the definition is left alone: its state is rebuilt from the
/// timeline by whoever holds the timeline (`Rebuilding`).
package struct SegmentDecider: Sendable {
    package let set: SegmentSet

    package init(_ set: SegmentSet) {
        self.set = set
    }

    /// The state of a profile that is seen for the first time.
    package func newState() -> ProfileState {
        ProfileState(revision: set.revision, empty: set.emptyStates)
    }

    /// When an event takes effect: when it happened, but not later than it arrived, since a sender's clock that is
    /// ahead must not pull a profile into the future.
    package static func instant(of event: TrackingEvent) -> Instant {
        min(event.timestamp, event.receivedAt)
    }

    /// Takes in an event and returns the changes in the order of their instants.
    package func apply(_ event: TrackingEvent, to state: inout ProfileState, of profile: ProfileID)
        -> [MembershipChange]
    {
        let instant = Self.instant(of: event)
        let isFirst = state.decidedAt == .distantPast
        var changes = advance(&state, to: instant, of: profile)
        state.decidedAt = max(state.decidedAt, instant)
        let cause = Cause.event(event.messageID, at: instant)
        var touched = Set<Int>()
        for (index, leaves) in set.leaves(for: event) {
            if remember(event, at: instant, segment: index, leaves: leaves, in: &state) {
                touched.insert(index)
            }
        }
        // Some rules hold for a profile that has done nothing, so the first fact decides them all.
        touched.formUnion(set.dependents(of: touched))
        for index in isFirst ? Array(set.segments.indices) : touched.sorted() {
            if let change = decide(index, &state, now: state.decidedAt, cause, of: profile) {
                changes.append(change)
            }
        }
        return changes
    }

    /// Lets every deadline up to and including `instant` fire, in due order.
    package func advance(
        _ state: inout ProfileState, to instant: Instant, of profile: ProfileID
    ) -> [MembershipChange] {
        var changes: [MembershipChange] = []
        state.arrange()
        while let due = nextDeadline(state), due <= instant {
            // In the order of their ids, which is that of the places.
            let ids = state.deadlines.prefix { $0.at <= due }.filter { $0.at == due }.map(\.id)
            for index in ids.compactMap({ set.place(of: $0) }) where current(index, state) != nil {
                if let change = decide(index, &state, now: due, .time, of: profile) { changes.append(change) }
            }
            state.decidedAt = max(state.decidedAt, due)
        }
        return changes
    }

    /// The next deadline among the segments that are current.
    package func nextDeadline(_ state: ProfileState) -> Instant? {
        state.deadlines.first { entry in
            set.place(of: entry.id).map { current($0, state) != nil } ?? false
        }?.at
    }

    /// The segment's state if it belongs to the definition in force.
    func current(_ index: Int, _ state: ProfileState) -> SegmentState? {
        let definition = set.segments[index]
        guard let segment = state.segments[definition.id], segment.version == definition.version else {
            return nil
        }
        return segment
    }

    private func remember(
        _ event: TrackingEvent, at instant: Instant, segment index: Int, leaves: [Int],
        in state: inout ProfileState
    ) -> Bool {
        let definition = set.segments[index]
        let latest = state.decidedAt
        let changed = state.withMemories(of: definition.id, version: definition.version) { memories, from in
            let decided = max(latest, from)
            var changed = false
            for leaf in leaves
            where definition.rule.leaves[leaf].remember(
                event, at: instant, decided: decided, in: &memories[leaf])
            { changed = true }
            return changed
        }
        return changed ?? false
    }

    /// What a rule may look at besides its memories.
    func surroundings(of definition: SegmentDefinition, _ state: ProfileState) -> Surroundings {
        definition.rule.refers
            ? Surroundings(set: set, state: state, byNextRules: definition.isNext) : .none
    }

    /// Why a profile is in a segment or is not, at an instant that is not before the decided one; nil while its state does
    /// not belong to the rule in force.
    package func explain(_ id: String, of state: ProfileState, at instant: Instant) -> Explanation? {
        guard let definition = set[id: id], let segment = state.segments[id],
            segment.version == definition.version
        else { return nil }
        return definition.rule.explain(
            segment.memories, at: instant, in: surroundings(of: definition, state))
    }

    /// Compares what the rule says now with what was, and sets the next deadline.
    func decide(
        _ index: Int, _ state: inout ProfileState, now: Instant, _ cause: Cause, of profile: ProfileID,
        before version: Int? = nil
    ) -> MembershipChange? {
        // What the rule looked at is let go of first: the state is changed in place only if nobody else holds it.
        guard let outcome = outcome(index, state, now: now, cause, of: profile, before: version) else {
            return nil
        }
        state.set(set.segments[index].id, memberSince: outcome.memberSince, deadline: outcome.deadline)
        return outcome.change
    }

    private func outcome(
        _ index: Int, _ state: ProfileState, now: Instant, _ cause: Cause, of profile: ProfileID,
        before version: Int?
    ) -> (change: MembershipChange?, memberSince: Instant?, deadline: Instant?)? {
        let definition = set.segments[index]
        guard definition.hasMembers, let segment = current(index, state) else { return nil }
        let now = max(now, segment.decidesFrom)
        let surroundings = surroundings(of: definition, state)
        let holds = definition.rule.holds(segment.memories, at: now, in: surroundings)
        let deadline = definition.rule.nextChange(
            segment.memories, from: holds, after: now, in: surroundings)
        guard holds != segment.isMember else { return (nil, segment.memberSince, deadline) }
        // The evidence shows the version of the rule that was in force before.
        var before = segment
        before.version = version ?? segment.version
        let change = MembershipChange(
            profileID: profile, segment: definition.id, change: holds ? .entered : .exited, at: now,
            version: definition.version, reason: cause.reason,
            evidence: Evidence.of(definition, before, at: now, cause: cause, in: surroundings))
        return (change, holds ? now : nil, deadline)
    }
}
