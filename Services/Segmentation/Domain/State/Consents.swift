package import Models

/// Consent as it stands: where merges were undone, decisions about it may be somebody else's again, and nobody tells each.
extension SegmentSet {
    /// The purposes that rules ask for.
    package var purposes: Set<String> { index.purposes }
}

extension SegmentDecider {
    /// Lets what stands now take the place of what conditions about consent remember, and decides anew whoever has one that
    /// differs.
    package func replaceConsents(
        _ decisions: [TrackingEvent], in state: inout ProfileState, cause: Cause, of profile: ProfileID
    ) -> [MembershipChange] {
        guard isOfThese(state) else {
            assertionFailure("the state has to be brought to the definitions first")
            return []
        }
        let instant = decisions.lazy.map(Self.instant(of:)).reduce(state.decidedAt, max)
        var fresh: [Int: Memory] = [:]
        for event in decisions {
            for slot in set.slots(for: event) {
                _ = set.conditions[slot].remember(
                    event, at: Self.instant(of: event), decided: instant, in: &fresh[slot, default: Memory()])
            }
        }
        let differing = set.conditions.indices.filter { slot in
            guard case .consent = set.conditions[slot].interest else { return false }
            return state.memory(slot) != fresh[slot] ?? Memory()
        }
        // Of somebody who has done nothing there is no instant to decide for.
        guard !differing.isEmpty, instant > .distantPast else { return [] }
        let isFirst = state.decidedAt == .distantPast
        var changes = advance(&state, to: instant, of: profile)
        state.decidedAt = instant
        for slot in differing { state.withMemory(slot) { $0 = fresh[slot] ?? Memory() } }
        var touched = Set(isFirst ? Array(set.segments.indices) : differing.flatMap { set.users[$0] })
        for place in touched { touched.formUnion(set.dependents(of: place)) }
        changes += touched.sorted().compactMap {
            decide($0, &state, now: instant, cause, of: profile)
        }
        return changes
    }

    /// Lets a state of which nothing was decided yet know what was decided about consent before its first fact, which then
    /// decides with it.
    package func begin(_ state: inout ProfileState, with decisions: [TrackingEvent]) {
        guard isOfThese(state), state.decidedAt == .distantPast else { return }
        for event in decisions {
            let instant = Self.instant(of: event)
            for slot in set.slots(for: event) {
                let condition = set.conditions[slot]
                _ = state.withMemory(slot) {
                    $0.take(event, for: condition, at: instant, decided: instant)
                }
            }
        }
    }
}
