import Models

/// Next rules that have come into force since a state was decided.
extension SegmentDecider {
    /// The ids of the segments whose next rule has come into force, and is worked out in the state already.
    func succeeding(in segments: [String: SegmentState]) -> Set<String> {
        let ids = set.segments.lazy.filter { definition in
            !definition.isNext && segments[definition.id]?.version != definition.version
                && segments[SegmentDefinition.nextID(of: definition.id)]?.version == definition.version
        }.map(\.id)
        return Set(ids)
    }

    /// Next rules that have taken the places of those before, where that has still to be decided.
    struct Succession {
        /// The versions of the rules before, by the places of the segments.
        var versions: [Int: Int] = [:]
        /// When the rules came into force, by the places of the segments and of those that look at them.
        var instants: [Int: Instant] = [:]
        /// Whom the next rules let out, as it was put into force.
        var left: Set<String> = []
        /// When the stages in force came into force, if they are other ones than before.
        var stagesSince: Instant?
    }

    /// Lets next rules that have come into force take the places of those before.
    ///
    /// No history is needed. Where every deadline up to that instant has fired, what is decided then is what the next
    /// rules had said before.
    func takeOver(_ segments: inout [String: SegmentState], of state: ProfileState) -> Succession {
        let ids = succeeding(in: segments)
        var succession = Succession()
        guard !ids.isEmpty else { return succession }
        succession.left = state.leaving
        for index in set.segments.indices where ids.contains(set.segments[index].id) {
            let definition = set.segments[index]
            guard var next = segments.removeValue(forKey: SegmentDefinition.nextID(of: definition.id))
            else { continue }
            let old = segments[definition.id]
            next.memberSince = old?.memberSince
            next.deadline = nil
            next.decidesFrom = max(next.decidesFrom, old?.decidesFrom ?? .distantPast)
            segments[definition.id] = next
            succession.versions[index] = old?.version
            if definition.isOfStages { succession.stagesSince = definition.since }
            for place in set.dependents(of: index) + [index] {
                succession.instants[place] = max(
                    succession.instants[place] ?? definition.since, definition.since)
            }
        }
        for (place, instant) in succession.instants {
            let id = set.segments[place].id
            // The next rule of one that only looks at another may have been decided, though its own never was.
            let next = segments[SegmentDefinition.nextID(of: id)]?.decidesFrom ?? .distantPast
            guard let from = segments[id]?.decidesFrom, max(from, next, state.decidedAt) > .distantPast else {
                // Of somebody who has done nothing there is nothing decided.
                succession.instants[place] = nil
                continue
            }
            // Nothing is decided by it for instants before it was in force.
            segments[id]?.decidesFrom = max(from, instant)
        }
        align(&segments)
        return succession
    }

    /// Decides by rules that have come into force, at the instant at which they did; only differences are changes. Whoever
    /// looks at them is decided again at the same instant.
    func decide(
        _ succession: Succession, _ state: inout ProfileState, _ cause: Cause, of profile: ProfileID
    ) -> [MembershipChange] {
        succession.instants.sorted { $0.key < $1.key }.flatMap { index, instant in
            let id = set.segments[index].id
            let now = max(instant, state.decidedAt)
            let change = decide(
                index, &state, now: now, cause, of: profile, before: succession.versions[index])
            guard change == nil, succession.left.contains(id), let own = state.segmentState(at: index),
                own.isMember
            else {
                return change.map { [$0] } ?? []
            }
            // They have left, and time has brought them back since.
            let exit = MembershipChange(
                profileID: profile, segment: id, change: .exited, at: max(now, own.decidesFrom),
                version: own.version, reason: cause.reason,
                evidence: Evidence.ofRemoval(own, at: now, cause: cause))
            state.update(index) { $0.memberSince = nil }
            return [exit] + (decide(index, &state, now: now, cause, of: profile).map { [$0] } ?? [])
        }
    }
}
