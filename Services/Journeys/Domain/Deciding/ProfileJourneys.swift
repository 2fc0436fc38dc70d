package import ConsentDomain
package import Models

/// A profile and all its journeys: applies facts and timers in the order of time, and collects what changed.
package struct ProfileJourneys: Sendable {
    package let profileID: ProfileID
    package var traits: [String: JSON]
    /// What the person last said of each purpose; read where the catalog's policy asks for it.
    package var consents: [String: ConsentWord] = [:]
    /// Whether the person's data is kept and must not be used.
    package var isRestricted = false
    package private(set) var memory: ProfileMemory
    package private(set) var running: [InstanceState]
    package private(set) var past: [String: JourneyPast]
    /// Instances that were started, moved or changed and have to be written; those that ended among them.
    package private(set) var changed: [InstanceID: InstanceState] = [:]
    package private(set) var memoryChanged = false

    package init(
        profileID: ProfileID, traits: [String: JSON] = [:], memory: ProfileMemory = ProfileMemory(),
        running: [InstanceState] = [], past: [String: JourneyPast] = [:]
    ) {
        self.profileID = profileID
        self.traits = traits
        self.memory = memory
        self.running = running
        self.past = past
    }

    /// When something changes if nothing happens.
    package func nextDeadline(_ catalog: JourneyCatalog) -> Instant? {
        running.filter { !catalog.isPaused($0.journey) }.compactMap(InstanceDecider.nextDeadline).min()
    }

    /// Applies a fact that arrives at `now`. Timers due until the fact's own time fire before it.
    package mutating func apply(_ arriving: JourneyFact, now: Instant, catalog: JourneyCatalog) -> Decision {
        let fact = arriving.settled(by: now)
        var decision = fireTimers(through: fact.at, catalog: catalog)
        remember(fact, catalog)
        guard !fact.isOfMergedProfile else { return decision }
        for state in running {
            guard let definition = catalog.definition(of: state.journey, version: state.version) else {
                continue
            }
            var next = state
            decision.append(
                InstanceDecider(definition).apply(
                    fact, to: &next, profile: view, paused: catalog.isPaused(state.journey)))
            if next != state { keep(next) }
        }
        for entry in catalog.open { decision.append(consider(fact, now: now, entry, catalog)) }
        return decision
    }

    /// Applies a fact once more that was applied when it arrived. Nobody is let in but by the triggers that were
    /// considered then: a journey that was written later has no past.
    mutating func reapply(
        _ fact: JourneyFact, after instant: Instant, considered: [JourneyReplay.Considered],
        catalog: JourneyCatalog
    ) -> Decision {
        var decision = fireTimers(through: max(fact.at, instant), catalog: catalog)
        remember(fact, catalog)
        guard !fact.isOfMergedProfile else { return decision }
        for state in running {
            guard let definition = catalog.definition(of: state.journey, version: state.version) else {
                continue
            }
            var next = state
            decision.append(
                InstanceDecider(definition).apply(
                    fact, to: &next, profile: view, paused: catalog.isPaused(state.journey)))
            if next != state { keep(next) }
        }
        for trigger in considered {
            guard let definition = catalog.definition(of: trigger.journey, version: trigger.version) else {
                continue
            }
            let verdict = EntryDecider(definition).decide(
                fact, now: fact.at, paused: false,
                isRunning: running.contains { $0.journey == definition.id },
                past: past[definition.id] ?? JourneyPast(), memory: memory)
            guard verdict == .enter else { continue }
            let (state, entered) = InstanceDecider(definition).enter(
                fact, profileID: profileID, id: trigger.instanceID, memory: memory, profile: view)
            keep(state)
            decision.append(entered)
        }
        return decision
    }

    /// Fires every timer due until `instant`, the earliest first, each for the instant at which it was due.
    package mutating func fireTimers(through instant: Instant, catalog: JourneyCatalog) -> Decision {
        var decision = Decision()
        while let state = nextDue(through: instant, catalog),
            let definition = catalog.definition(of: state.journey, version: state.version)
        {
            var next = state
            decision.append(InstanceDecider(definition).fire(&next, profile: view))
            keep(next)
        }
        return decision
    }

    /// Takes over the journeys of a profile that was merged into this one. Where both are in the same
    /// journey, the survivor's own passage goes on and the other ends. What either did since the other's
    /// journeys began counts for them from now on; the purchase on one device stops the reminders of the other.
    package mutating func absorb(
        _ merged: ProfileJourneys, mergeID: MergeID, at: Instant, position: StreamPosition?, now: Instant,
        catalog: JourneyCatalog
    ) -> Decision {
        let at = min(at, now)
        let cause = Cause.merge(mergeID, merged: merged.profileID, position)
        var merged = merged
        var decision = fireTimers(through: at, catalog: catalog)
        decision.append(merged.fireTimers(through: at, catalog: catalog))
        for var state in merged.changed.values where !state.isRunning {
            state.profileID = profileID
            changed[state.id] = state
        }
        for (journey, other) in merged.past { past[journey, default: JourneyPast()].absorb(other) }
        for state in running {
            guard let definition = catalog.definition(of: state.journey, version: state.version) else {
                continue
            }
            var next = state
            decision.append(InstanceDecider(definition).learn(merged.memory, to: &next, at: at, cause: cause))
            if next != state { keep(next) }
        }
        let own = memory
        memory.absorb(merged.memory)
        memoryChanged = true
        for var state in merged.running.sorted(by: { ($0.enteredAt, $0.id) < ($1.enteredAt, $1.id) }) {
            guard let definition = catalog.definition(of: state.journey, version: state.version) else {
                continue
            }
            let decider = InstanceDecider(definition)
            decision.append(decider.move(&state, to: profileID, at: at, cause: cause))
            if running.contains(where: { $0.journey == state.journey }) {
                decision.append(decider.end(&state, reason: "merged", at: at, cause: cause))
            } else {
                decision.append(decider.learn(own, to: &state, at: at, cause: cause))
            }
            keep(state)
        }
        return decision
    }

    /// Goes on from what was written.
    package mutating func settle() {
        changed = [:]
        memoryChanged = false
    }

    private var view: ProfileView { ProfileView(traits: traits, segments: memory.memberships) }

    private mutating func remember(_ fact: JourneyFact, _ catalog: JourneyCatalog) {
        let before = memory
        switch fact.body {
        case .segment(let change): memory.note(change)
        case .event(let event):
            for pattern in catalog.remembered where pattern.matches(event) { memory.note(event, of: pattern) }
        }
        if memory != before { memoryChanged = true }
    }

    private func nextDue(through instant: Instant, _ catalog: JourneyCatalog) -> InstanceState? {
        running
            .filter {
                !catalog.isPaused($0.journey)
                    && (InstanceDecider.nextDeadline($0) ?? .distantFuture) <= instant
            }
            .min { ($0.dueAt ?? .distantFuture, $0.id) < ($1.dueAt ?? .distantFuture, $1.id) }
    }

    private mutating func consider(
        _ fact: JourneyFact, now: Instant, _ entry: JourneyCatalog.Entry, _ catalog: JourneyCatalog
    )
        -> Decision
    {
        let definition = entry.definition
        var decision = Decision()
        let verdict = EntryDecider(definition).decide(
            fact, now: now, paused: entry.status == .paused,
            isRunning: running.contains { $0.journey == definition.id },
            past: past[definition.id] ?? JourneyPast(), memory: memory)
        if verdict == .enter, isRestricted {
            decision.history.append(refusal(.restricted, fact, definition))
            return decision
        }
        if verdict == .enter,
            let denied = catalog.consent?.refusal(
                of: definition.id, to: consents, country: traits["country"], now: now)
        {
            decision.history.append(refusal(denied, fact, definition))
            return decision
        }
        switch verdict {
        case .irrelevant: break
        case .refused(let reason): decision.history.append(refusal(reason, fact, definition))
        case .enter:
            let (state, entered) = InstanceDecider(definition).enter(
                fact, profileID: profileID, memory: memory, profile: view)
            keep(state)
            decision = entered
        }
        return decision
    }

    private func refusal(_ reason: RefusedEntry, _ fact: JourneyFact, _ definition: JourneyDefinition)
        -> HistoryEntry
    {
        let id = UUIDv7.derived(
            at: fact.at, from: "refusal", definition.id, profileID.description, fact.triggerKey)
        return HistoryEntry(
            id: HistoryID(id), journey: definition.id, version: definition.version, instanceID: nil,
            profileID: profileID, ordinal: 0, kind: .notEntered, step: nil, at: fact.at,
            cause: Cause.fact(fact).json, detail: .object(reason.detail))
    }

    private mutating func keep(_ state: InstanceState) {
        changed[state.id] = state
        past[state.journey, default: JourneyPast()]
            .note(enteredAt: state.enteredAt, endedAt: state.endedAt, triggerKey: state.triggerKey)
        running.removeAll { $0.id == state.id }
        if state.isRunning { running.append(state) }
    }
}
