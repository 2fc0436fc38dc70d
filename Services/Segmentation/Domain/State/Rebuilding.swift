package import Models

/// Making state anew from the timeline: for a rule that is new or has changed, and for profiles that were merged.
extension SegmentDecider {
    /// Whether a state is one of the definitions in force, with nothing to be brought up to them.
    package func isCurrent(_ state: ProfileState) -> Bool {
        state.revision == set.revision && isOfThese(state)
    }

    /// The ids of the segments that were not decided by the definitions in force: missing, of another version, or of a
    /// segment that is gone.
    private func stale(_ segments: [String: SegmentState]) -> Set<String> {
        var stale = Set(segments.keys.filter { set[id: $0] == nil })
        for definition in set.segments where segments[definition.id]?.version != definition.version {
            stale.insert(definition.id)
        }
        return stale
    }

    /// Whether a state of whatever definitions remembers what a rule needs.
    private func knows(_ place: Int, _ state: ProfileState) -> Bool {
        set.slots[place].allSatisfy { $0 < 0 || state.layout.slot(of: set.layout.conditions[$0]) != nil }
    }

    /// Whether bringing a state up to the definitions in force takes the events that it includes.
    package func needsHistory(_ state: ProfileState) -> Bool {
        !isOfThese(state) && set.segments.indices.contains { !knows($0, state) }
    }

    /// Brings stale segments up to the definitions in force.
    ///
    /// `events` are the events that the state includes, in any order, or none where no history is needed. The memberships
    /// of the new rules are those at `now`, or at the latest decided instant if that is later; only differences from the
    /// old ones are changes. Next rules that were worked out before they came into force need none. Where only what a rule
    /// remembers is missing, the profile stands as it stood, and its deadlines are yet to fire.
    package func refresh(
        _ state: inout ProfileState, with events: [TrackingEvent], now: Instant, of profile: ProfileID
    ) -> [MembershipChange] {
        var history = history(for: state, now: now)
        for event in events { history.take(event) }
        return refresh(&state, with: history, now: now, of: profile)
    }

    /// What a history has to be folded into to bring a state up to the definitions in force.
    package func history(for state: ProfileState, now: Instant) -> HistoryFold {
        let missing = set.layout.conditions.enumerated()
            .filter { state.layout.slot(of: $0.element) == nil }.map(\.offset)
        // What is not remembered yet is needed from the latest decided instant on, by whatever rule.
        return HistoryFold(
            set, missing: isOfThese(state) ? [] : Set(missing),
            decided: state.decidedAt > .distantPast ? state.decidedAt : now)
    }

    /// The same with a history that was folded already.
    package func refresh(
        _ state: inout ProfileState, with history: HistoryFold, now: Instant, of profile: ProfileID
    ) -> [MembershipChange] {
        guard !isOfThese(state) else {
            state.revision = set.revision
            return []
        }
        let cause = Cause.definition(revision: set.revision)
        var segments = state.segmentStates
        let succession = takeOver(&segments, of: state)
        let ids = stale(segments)
        // A segment that was deleted has nobody in it, also if another was made under its name.
        let gone = ids.filter { id in
            guard let definition = set[id: id] else { return true }
            return segments[id].map { $0.version < definition.firstVersion } ?? false
        }
        // Nothing is told of what begins anew as of before what was told of the old.
        let instant = gone.compactMap { segments[$0]?.decidesFrom }
            .reduce(max(now, state.decidedAt)) { max($0, $1) }
        // A stage that is not in the list any more is left when the list came into force.
        let stages = succession.stagesSince == nil ? [] : gone.filter(SegmentDefinition.isOfStages)
        var changes = exits(
            from: stages, of: &segments, at: max(succession.stagesSince ?? instant, state.decidedAt), cause,
            of: profile)
        changes += exits(
            from: gone.subtracting(stages), of: &segments, at: instant, cause, of: profile)
        let indices = set.segments.indices.filter { ids.contains(set.segments[$0].id) }
        var versions: [Int: Int] = [:]
        for index in indices { versions[index] = renew(index, in: &segments) }
        var dependents = set.dependents(of: ids).subtracting(indices)
        // What is not in force yet may have looked at a next rule that was taken back.
        dependents.formUnion(
            set.dependents(of: Set(gone.compactMap { SegmentDefinition.segment(ofNext: $0) }))
                .filter { set.segments[$0].isNext && !indices.contains($0) })
        for id in (indices + dependents).map({ set.segments[$0].id }) {
            guard let from = segments[id]?.decidesFrom else { continue }
            segments[id]?.decidesFrom = max(instant, from)
        }
        align(&segments)
        state.lay(set.layout, segments: segments, memories: carriedOver(from: state) { history[$0] })
        state.revision = set.revision
        let crowded = state.forget(beyond: set.room).flatMap { set.users[$0] }
        for place in Set(crowded + crowded.flatMap { set.dependents(of: $0) }).subtracting(indices) {
            dependents.insert(place)
            state.update(place) { $0.decidesFrom = max($0.decidesFrom, instant) }
        }
        // Only now, so that nothing is decided by scores and stages that are no more.
        changes += decide(succession, &state, cause, of: profile)
        for index in dependents.union(indices).sorted() {
            let change = decide(
                index, &state, now: instant, cause, of: profile, before: versions[index])
            if let change { changes.append(change) }
        }
        return changes
    }

    /// Lets a segment begin with its rule in force; returns the version before.
    private func renew(_ index: Int, in segments: inout [String: SegmentState]) -> Int? {
        let definition = set.segments[index]
        let old = segments[definition.id]
        segments[definition.id] = SegmentState(
            version: definition.version, memberSince: old?.memberSince, deadline: nil,
            decidesFrom: old?.decidesFrom ?? .distantPast)
        return old?.version
    }

    /// The state as it will be when it is brought to rules that have come into force, to be looked at before anybody is told;
    /// as it is where that takes its history.
    package func upToDate(_ state: ProfileState, now: Instant, of profile: ProfileID) -> ProfileState {
        guard !isOfThese(state), !needsHistory(state) else { return state }
        var copy = state
        _ = refresh(&copy, with: [], now: now, of: profile)
        return copy
    }

    /// What the conditions in force remember: as in the state where it has them, and else as it was made anew.
    private func carriedOver(
        from state: ProfileState, and fresh: (Int) -> Memory? = { _ in nil }
    ) -> [ProfileState.HeldMemory] {
        set.layout.conditions.enumerated().compactMap { slot, key in
            let memory = state.layout.slot(of: key).map { state.memory($0) } ?? fresh(slot)
            return memory.flatMap { $0.isEmpty ? nil : ProfileState.HeldMemory(slot: slot, memory: $0) }
        }
    }

    /// A state as far as it belongs to the definitions in force; the rest is undecided there.
    func known(in state: ProfileState) -> ProfileState {
        var known = state
        let segments = state.segmentStates.filter { id, segment in
            set.place(of: id).map { set.segments[$0].version == segment.version && knows($0, state) } ?? false
        }
        known.lay(
            set.layout, segments: segments, memories: carriedOver(from: state),
            undecided: set.segments.indices.filter { segments[set.segments[$0].id] == nil })
        return known
    }

    /// Makes the whole state of a merge's survivor anew from the events of all profiles that are now one, in any
    /// order.
    ///
    /// The instant is the latest that either had decided or that an event brings; when the merge was recorded does
    /// not matter, so a history that is read in later goes on at its own time. The survivor's memberships that the
    /// joint history does not change go on; `loser` is the state of the profile that went into it.
    package func merge(
        _ state: inout ProfileState, with events: [TrackingEvent], loser: ProfileState?, cause: Cause,
        of profile: ProfileID
    ) -> [MembershipChange] {
        var instant = max(state.decidedAt, loser?.decidedAt ?? .distantPast)
        instant = max(instant, events.lazy.map(Self.instant(of:)).max() ?? .distantPast)
        // Two profiles that have done nothing: there is no instant to decide for yet.
        guard instant > .distantPast else { return [] }
        // Deadlines of the survivor up to now are its own history and come before the merge.
        var changes = advance(&state, to: instant, of: profile)
        var segments = state.segmentStates
        // What a rule does not decide for one of the two, it does not decide for both.
        for (id, segment) in loser?.segmentStates ?? [:] {
            guard let own = segments[id] else { continue }
            segments[id]?.decidesFrom = max(own.decidesFrom, segment.decidesFrom)
        }
        align(&segments)
        var history = HistoryFold(set, missing: Set(set.conditions.indices), decided: instant)
        for event in events { history.take(event) }
        state.lay(set.layout, segments: segments, memories: history.held)
        _ = state.forget(beyond: set.room)
        // Only now, as a rule may look at any of the others.
        changes += set.segments.indices.compactMap {
            decide($0, &state, now: instant, cause, of: profile)
        }
        state.decidedAt = instant
        state.revision = set.revision
        return changes
    }

    /// Makes the state of a profile anew that a merge no longer belongs to, as if that had never been.
    ///
    /// `events` are those that are left, or come back, in the order in which they arrived; `decidesFrom` says of each
    /// rule that is younger than the profile when it began to decide. What `state` had and the profile has not is
    /// exited; what it gains is entered when its own facts say; a membership that goes on since another instant is
    /// restated, which is no change. `history` is what there would have been from `since` to `now`; changes that time alone
    /// makes, and that the state has yet to be brought to, come as usual besides.
    package func unmerge(
        _ state: inout ProfileState?, with events: [TrackingEvent], decidesFrom: [String: Instant],
        since: Instant, cause: Cause, now: Instant, of profile: ProfileID
    ) -> (changes: [MembershipChange], restated: [MembershipChange], history: HistoryInShort) {
        var fresh = newState()
        var segments = fresh.segmentStates
        for (id, instant) in decidesFrom { segments[id]?.decidesFrom = instant }
        align(&segments)
        fresh.lay(set.layout, segments: segments, memories: [])
        var history = HistoryInShort(since: since)
        var told: [String: MembershipChange] = [:]
        func note(_ changes: [MembershipChange]) {
            for change in changes {
                history.note(change)
                told[change.segment] = change
            }
        }
        for event in events { note(apply(event, to: &fresh, of: profile)) }
        let instant = max(state?.decidedAt ?? .distantPast, fresh.decidedAt)
        if !events.isEmpty {
            note(advance(&fresh, to: instant, of: profile))
            fresh.decidedAt = instant
        }
        var ahead = fresh
        if !events.isEmpty {
            for change in advance(&ahead, to: max(instant, now), of: profile) { history.note(change) }
        }
        var old = (state ?? newState()).segmentStates
        let gone = Set(old.keys.filter { set[id: $0] == nil })
        var changes = exits(from: gone, of: &old, at: instant, cause, of: profile)
        var restated: [MembershipChange] = []
        for (place, definition) in set.segments.enumerated() {
            let segment = fresh[place]
            let former = old[definition.id]
            if let since = segment.memberSince, since != former?.memberSince,
                var change = told[definition.id]
            {
                change.reason = cause.reason
                change.evidence = Evidence.restated(change.evidence, cause: cause)
                if former?.isMember == true { restated.append(change) } else { changes.append(change) }
            } else if segment.memberSince == nil, let since = former?.memberSince {
                let at = max(instant, since)
                let evidence = Evidence(
                    rule: definition.rule, version: definition.version, memories: memories(of: place, fresh),
                    previous: Evidence.Previous(version: definition.version, memberSince: since),
                    at: at, cause: cause, surroundings: surroundings(of: definition, fresh))
                changes.append(
                    MembershipChange(
                        profileID: profile, segment: definition.id, change: .exited, at: at,
                        version: definition.version, reason: cause.reason, pending: evidence))
            }
        }
        state = fresh
        return (changes, restated, history)
    }

    /// Ends every membership, because the profile is no more.
    package func leaveAll(
        _ state: inout ProfileState, at instant: Instant, cause: Cause, of profile: ProfileID
    ) -> [MembershipChange] {
        let instant = max(instant, state.decidedAt)
        var changes = isOfThese(state) ? advance(&state, to: instant, of: profile) : []
        var segments = state.segmentStates
        changes += exits(from: Set(segments.keys), of: &segments, at: instant, cause, of: profile)
        state = ProfileState(revision: set.revision)
        state.decidedAt = instant
        return changes
    }

    private func exits(
        from ids: some Collection<String>, of segments: inout [String: SegmentState], at instant: Instant,
        _ cause: Cause, of profile: ProfileID
    ) -> [MembershipChange] {
        var changes: [MembershipChange] = []
        for id in ids.sorted(by: { $0.precedesInUTF8($1) }) {
            guard let segment = segments.removeValue(forKey: id), let since = segment.memberSince else {
                continue
            }
            let at = max(instant, since)
            changes.append(
                MembershipChange(
                    profileID: profile, segment: id, change: .exited, at: at, version: segment.version,
                    reason: cause.reason, evidence: Evidence.ofRemoval(segment, at: at, cause: cause)))
        }
        return changes
    }

    /// What a rule looks at must be decided as well, so it decides from no earlier than that.
    func align(_ segments: inout [String: SegmentState]) {
        guard set.hasReferences else { return }
        for (id, segment) in segments where segment.decidesFrom > .distantPast {
            for place in set.dependents(of: [id]) {
                let dependent = set.segments[place].id
                guard let own = segments[dependent]?.decidesFrom, own < segment.decidesFrom else { continue }
                segments[dependent]?.decidesFrom = segment.decidesFrom
            }
        }
    }
}
