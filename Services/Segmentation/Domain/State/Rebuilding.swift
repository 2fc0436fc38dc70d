package import Models

/// Making state anew from the timeline: for a rule that is new or has changed, and for profiles that were merged.
extension SegmentDecider {
    /// The ids of the segments whose state does not belong to the definitions in force: missing, of another
    /// version, or of a segment that is gone.
    package func stale(_ state: ProfileState) -> Set<String> {
        guard state.revision != set.revision else { return [] }
        let succeeding = succeeding(in: state)
        var stale = Set(state.segments.keys.filter { set[id: $0] == nil })
            .subtracting(succeeding.map(SegmentDefinition.nextID))
        for index in set.segments.indices where current(index, state) == nil {
            stale.insert(set.segments[index].id)
        }
        return stale.subtracting(succeeding)
    }

    /// Whether bringing a state up to the definitions in force takes the events that it includes.
    package func needsHistory(_ state: ProfileState) -> Bool { stale(state).contains { set[id: $0] != nil } }

    /// Brings stale segments up to the definitions in force.
    ///
    /// `events` are the events that the state includes, in any order, or none where no history is needed. The memberships
    /// of the new rules are those at `now`, or at the latest decided instant if that is later; only differences from the
    /// old ones are changes. Next rules that were worked out before they came into force need none.
    package func refresh(
        _ state: inout ProfileState, with events: [TrackingEvent], now: Instant, of profile: ProfileID
    ) -> [MembershipChange] {
        let cause = Cause.definition(revision: set.revision)
        let succession = takeOver(in: &state)
        let ids = stale(state)
        // A segment that was deleted has nobody in it, also if another was made under its name.
        let gone = ids.filter { id in
            guard let definition = set[id: id] else { return true }
            return state.segments[id].map { $0.version < definition.firstVersion } ?? false
        }
        // Nothing is told of what begins anew as of before what was told of the old.
        let instant = gone.compactMap { state.segments[$0]?.decidesFrom }
            .reduce(max(now, state.decidedAt)) { max($0, $1) }
        var changes = exits(from: gone, of: &state, at: instant, cause, of: profile)
        let indices = set.segments.indices.filter { ids.contains(set.segments[$0].id) }
        let versions = rebuild(events, into: &state, segments: indices, at: instant)
        var dependents = set.dependents(of: ids).subtracting(indices)
        // What is not in force yet may have looked at a next rule that was taken back.
        dependents.formUnion(
            set.dependents(of: Set(gone.compactMap { SegmentDefinition.segment(ofNext: $0) }))
                .filter { set.segments[$0].isNext && !indices.contains($0) })
        for id in (indices + dependents).map({ set.segments[$0].id }) {
            guard let from = state.segments[id]?.decidesFrom else { continue }
            state.segments[id]?.decidesFrom = max(instant, from)
        }
        align(&state)
        // Only now, so that nothing is decided by scores and stages that are no more.
        changes += decide(succession, &state, cause, of: profile)
        for index in dependents.union(indices).sorted() {
            let change = decide(
                index, &state, now: instant, cause, of: profile, before: versions[index])
            if let change { changes.append(change) }
        }
        state.revision = set.revision
        return changes
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
        let gone = Set(state.segments.keys.filter { set[id: $0] == nil })
        changes += exits(from: gone, of: &state, at: instant, cause, of: profile)
        // What a rule does not decide for one of the two, it does not decide for both.
        for (id, segment) in loser?.segments ?? [:] {
            guard let own = state.segments[id] else { continue }
            state.segments[id]?.decidesFrom = max(own.decidesFrom, segment.decidesFrom)
        }
        changes += fold(
            events, into: &state, segments: Array(set.segments.indices), at: instant, cause, of: profile)
        state.decidedAt = instant
        state.revision = set.revision
        return changes
    }

    /// Makes the state of a profile anew that a merge no longer belongs to, as if that had never been.
    ///
    /// `events` are those that are left, or come back, in the order in which they arrived; `decidesFrom` says of each
    /// rule that is younger than the profile when it began to decide. What `state` had and the profile has not is
    /// exited; what it gains is entered when its own facts say; a membership that goes on since another instant is
    /// restated, which is no change. `history` is every change that there would have been by `now`; those that time alone
    /// makes, and that the state has yet to be brought to, come as usual besides.
    package func unmerge(
        _ state: inout ProfileState?, with events: [TrackingEvent], decidesFrom: [String: Instant],
        cause: Cause, now: Instant, of profile: ProfileID
    ) -> (changes: [MembershipChange], restated: [MembershipChange], history: [MembershipChange]) {
        var fresh = newState()
        for (id, instant) in decidesFrom { fresh.segments[id]?.decidesFrom = instant }
        align(&fresh)
        var history: [MembershipChange] = []
        for event in events { history += apply(event, to: &fresh, of: profile) }
        let instant = max(state?.decidedAt ?? .distantPast, fresh.decidedAt)
        if !events.isEmpty {
            history += advance(&fresh, to: instant, of: profile)
            fresh.decidedAt = instant
        }
        let told = Dictionary(history.map { ($0.segment, $0) }, uniquingKeysWith: { $1 })
        var ahead = fresh
        if !events.isEmpty { history += advance(&ahead, to: max(instant, now), of: profile) }
        var old = state ?? newState()
        let gone = Set(old.segments.keys.filter { set[id: $0] == nil })
        var changes = exits(from: gone, of: &old, at: instant, cause, of: profile)
        var restated: [MembershipChange] = []
        for definition in set.segments {
            guard let segment = fresh.segments[definition.id] else { continue }
            let former = old.segments[definition.id]
            if let since = segment.memberSince, since != former?.memberSince,
                var change = told[definition.id]
            {
                change.reason = cause.reason
                change.evidence = Evidence.restated(change.evidence, cause: cause)
                if former?.isMember == true { restated.append(change) } else { changes.append(change) }
            } else if !segment.isMember, let since = former?.memberSince {
                var before = segment
                before.memberSince = since
                let at = max(instant, since)
                changes.append(
                    MembershipChange(
                        profileID: profile, segment: definition.id, change: .exited, at: at,
                        version: definition.version, reason: cause.reason,
                        evidence: Evidence.of(
                            definition, before, at: at, cause: cause, in: surroundings(of: definition, fresh))
                    ))
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
        var changes = advance(&state, to: instant, of: profile)
        changes += exits(from: Set(state.segments.keys), of: &state, at: instant, cause, of: profile)
        return changes
    }

    private func exits(
        from ids: some Collection<String>, of state: inout ProfileState, at instant: Instant, _ cause: Cause,
        of profile: ProfileID
    ) -> [MembershipChange] {
        var changes: [MembershipChange] = []
        for id in ids.sorted(by: { $0.precedesInUTF8($1) }) {
            guard let segment = state.segments.removeValue(forKey: id), let since = segment.memberSince else {
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

    /// Folds events into fresh memories of the segments and compares the outcome with what was.
    private func fold(
        _ events: [TrackingEvent], into state: inout ProfileState, segments indices: [Int],
        at instant: Instant,
        _ cause: Cause, of profile: ProfileID
    ) -> [MembershipChange] {
        let versions = rebuild(events, into: &state, segments: indices, at: instant)
        align(&state)
        // Only now, as a rule may look at any of the others.
        return indices.compactMap { index in
            decide(index, &state, now: instant, cause, of: profile, before: versions[index])
        }
    }

    /// Folds events into fresh memories of the segments; returns the versions that these were of.
    private func rebuild(
        _ events: [TrackingEvent], into state: inout ProfileState, segments indices: [Int],
        at instant: Instant
    ) -> [Int: Int] {
        var versions: [Int: Int] = [:]
        var memories = Dictionary(
            uniqueKeysWithValues: indices.map { ($0, set.segments[$0].rule.emptyMemories) })
        for event in events {
            let at = Self.instant(of: event)
            for (index, leaves) in set.leaves(for: event) {
                guard var own = memories.removeValue(forKey: index) else { continue }
                for leaf in leaves {
                    _ = set.segments[index].rule.leaves[leaf].remember(
                        event, at: at, decided: instant, in: &own[leaf])
                }
                memories[index] = own
            }
        }
        for index in indices {
            let definition = set.segments[index]
            let old = state.segments[definition.id]
            versions[index] = old?.version
            state.segments[definition.id] = SegmentState(
                version: definition.version, memberSince: old?.memberSince,
                memories: memories[index] ?? definition.rule.emptyMemories, deadline: nil,
                decidesFrom: old?.decidesFrom ?? .distantPast)
        }
        return versions
    }

    /// What a rule looks at must be decided as well, so it decides from no earlier than that.
    func align(_ state: inout ProfileState) {
        guard set.hasReferences else { return }
        for (id, segment) in state.segments {
            for place in set.dependents(of: [id]) {
                let dependent = set.segments[place].id
                guard let own = state.segments[dependent]?.decidesFrom, own < segment.decidesFrom else {
                    continue
                }
                state.segments[dependent]?.decidesFrom = segment.decidesFrom
            }
        }
    }
}
