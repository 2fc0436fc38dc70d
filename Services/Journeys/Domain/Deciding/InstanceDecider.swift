package import Models

/// Decides about instances of one version of a journey. A pure function of the definition, the instance, the
/// fact or timer, and the profile as it is.
package struct InstanceDecider {
    /// A loop goes round at most this often; then the instance ends, so that no definition runs for ever.
    package static let maxVisits = 1000

    private let definition: JourneyDefinition

    package init(_ definition: JourneyDefinition) { self.definition = definition }

    /// When the instance changes if nothing happens.
    package static func nextDeadline(_ state: InstanceState) -> Instant? {
        state.isRunning ? state.dueAt : nil
    }

    /// The id of a passage that begins with a fact.
    package static func id(
        of journey: String, enteredAt instant: Instant, by profileID: ProfileID, triggerKey: String
    ) -> InstanceID {
        InstanceID(
            UUIDv7.derived(at: instant, from: "instance", journey, profileID.description, triggerKey))
    }

    /// Lets a profile in by a fact, and runs to the first wait. `id` is that of a passage which the fact began before.
    package func enter(
        _ fact: JourneyFact, profileID: ProfileID, id: InstanceID? = nil, memory: ProfileMemory,
        profile: ProfileView
    ) -> (InstanceState, Decision) {
        let key = fact.triggerKey
        var state = InstanceState(
            id: id ?? Self.id(of: definition.id, enteredAt: fact.at, by: profileID, triggerKey: key),
            journey: definition.id, version: definition.version, profileID: profileID, enteredAt: fact.at,
            triggerKey: key, trigger: fact.trigger)
        for pattern in definition.rememberedEvents {
            // At the same instant the order of arrival tells, and this one arrived before.
            if let mark = memory.events[pattern.key], mark.at > fact.at { state.seen[pattern.key] = mark }
        }
        var decision = Decision()
        let cause = Cause.fact(fact)
        note(.entered, at: fact.at, cause, [:], step: nil, &state, &decision)
        run(from: definition.program.start, at: fact.at, cause, profile, &state, &decision)
        return (state, decision)
    }

    /// Applies a fact to a running instance whose timers due until then have fired.
    package func apply(
        _ fact: JourneyFact, to state: inout InstanceState, profile: ProfileView, paused: Bool = false
    ) -> Decision {
        var decision = Decision()
        guard state.isRunning else { return decision }
        let at = fact.at
        if exits(on: fact, state) {
            state.time = max(state.time, at)
            end(kindOfExit(fact), at: state.time, .fact(fact), &state, &decision)
            return decision
        }
        guard case .event(let event) = fact.body else { return decision }
        remember(event, &state)
        guard !paused, let name = state.step, let placed = definition.program.steps[name] else {
            return decision
        }
        let moment = moment(at: max(state.time, at), name, state, profile)
        guard let result = placed.step.notice(event, moment) else { return decision }
        state.time = moment.now
        state.consumed.append(event.messageID)
        settle(result, of: placed, .fact(fact), profile, &state, &decision)
        return decision
    }

    /// Fires the timer of an instance; what is decided is decided for the instant at which it was due.
    package func fire(_ state: inout InstanceState, profile: ProfileView) -> Decision {
        var decision = Decision()
        guard let due = Self.nextDeadline(state), let name = state.step,
            let placed = definition.program.steps[name]
        else { return decision }
        state.time = max(state.time, due)
        let result = placed.step.wake(moment(at: state.time, name, state, profile))
        settle(result, of: placed, .timer(due: due), profile, &state, &decision)
        return decision
    }

    /// Why an instance ended, or is said to have, that only a merge let begin which was undone.
    package static let unmerged = "unmerged"

    /// Ends an instance from outside: a merge, or the deletion of the journey.
    package func end(_ state: inout InstanceState, reason: String, at instant: Instant, cause: Cause)
        -> Decision
    {
        var decision = Decision()
        guard state.isRunning else { return decision }
        state.time = max(state.time, instant)
        end(reason, at: state.time, cause, &state, &decision)
        return decision
    }

    /// Hands a running instance to the profile that its own was merged into.
    package func move(_ state: inout InstanceState, to survivor: ProfileID, at instant: Instant, cause: Cause)
        -> Decision
    {
        var decision = Decision()
        let former = state.profileID
        state.profileID = survivor
        state.time = max(state.time, instant)
        note(
            .moved, at: state.time, cause, ["from": .string(former.description)], step: state.step, &state,
            &decision)
        return decision
    }

    /// Records that an instance stands where it would had a merge never been.
    package func restate(
        _ state: inout InstanceState, from former: ProfileID, at instant: Instant, cause: Cause
    ) -> Decision {
        var decision = Decision()
        var detail: [String: JSON] = ["from": .string(former.description)]
        detail["until"] = state.dueAt.map { .string($0.rfc3339) }
        detail["ended"] = state.endReason.map { .string($0) }
        note(.restated, at: instant, cause, detail, step: state.step, &state, &decision)
        return decision
    }

    /// Tells a running instance what another profile of the same person did since it entered: the person turns
    /// out to have bought on another device before the two were known to be one.
    package func learn(
        _ memory: ProfileMemory, to state: inout InstanceState, at instant: Instant, cause: Cause
    )
        -> Decision
    {
        var decision = Decision()
        guard state.isRunning else { return decision }
        for pattern in definition.rememberedEvents {
            guard let mark = memory.events[pattern.key], mark.at > state.enteredAt,
                mark.messageID != state.triggerKey
            else { continue }
            if state.seen[pattern.key] == nil { state.seen[pattern.key] = mark }
        }
        let hasExited = definition.exits.contains { rule in
            guard let pattern = rule.event, let mark = memory.events[pattern.key] else { return false }
            return mark.at > state.enteredAt && mark.messageID != state.triggerKey
        }
        if hasExited {
            state.time = max(state.time, instant)
            end("event", at: state.time, cause, &state, &decision)
        }
        return decision
    }

    // MARK: Exits

    private func exits(on fact: JourneyFact, _ state: InstanceState) -> Bool {
        guard fact.at >= state.enteredAt, fact.triggerKey != state.triggerKey else { return false }
        return definition.exits.contains { rule in
            switch (rule, fact.body) {
            case (.event(let pattern), .event(let event)): pattern.matches(event)
            case (.segmentExited(let segment), .segment(let change)):
                change.change == .exited && change.segment == segment
            default: false
            }
        }
    }

    private func kindOfExit(_ fact: JourneyFact) -> String {
        switch fact.body {
        case .event: "event"
        case .segment: "segment"
        }
    }

    private func remember(_ event: TrackingEvent, _ state: inout InstanceState) {
        guard event.timestamp >= state.enteredAt, event.messageID != state.triggerKey else { return }
        for pattern in definition.rememberedEvents
        where state.seen[pattern.key] == nil && pattern.matches(event) {
            state.seen[pattern.key] = EventMark(at: event.timestamp, messageID: event.messageID)
        }
    }

    // MARK: Running

    private func moment(at now: Instant, _ step: String, _ state: InstanceState, _ profile: ProfileView)
        -> StepMoment
    {
        StepMoment(now: now, step: step, instance: state, profile: profile)
    }

    /// Takes the result of the step where the instance stood, and runs on.
    private func settle(
        _ result: StepResult, of placed: JourneyProgram.Placed, _ cause: Cause, _ profile: ProfileView,
        _ state: inout InstanceState, _ decision: inout Decision
    ) {
        state.waitingSince = nil
        state.dueAt = nil
        let now = state.time
        if let next = take(result, of: placed, at: now, cause, &state, &decision) {
            run(from: next, at: now, cause, profile, &state, &decision)
        } else if state.isRunning, state.dueAt == nil {
            end("completed", at: now, cause, &state, &decision)
        }
    }

    private func run(
        from start: String?, at now: Instant, _ cause: Cause, _ profile: ProfileView,
        _ state: inout InstanceState, _ decision: inout Decision
    ) {
        var cursor = start
        while let name = cursor, let placed = definition.program.steps[name] {
            let visit = state.visits[name, default: 0] + 1
            guard visit <= Self.maxVisits else {
                end("tooManyVisits", at: now, cause, &state, &decision)
                return
            }
            state.visits[name] = visit
            state.step = name
            let result = placed.step.begin(moment(at: now, name, state, profile))
            cursor = take(result, of: placed, at: now, cause, &state, &decision)
        }
        if state.isRunning, state.dueAt == nil { end("completed", at: now, cause, &state, &decision) }
    }

    /// Does what a step decided. Returns the step to go on with; nil when the instance stands or has ended.
    private func take(
        _ result: StepResult, of placed: JourneyProgram.Placed, at now: Instant, _ cause: Cause,
        _ state: inout InstanceState, _ decision: inout Decision
    ) -> String? {
        let name = placed.name
        switch result {
        case .proceed(let kind, let detail):
            note(kind, at: now, cause, detail, step: name, &state, &decision)
            return placed.next
        case .jump(let target, let kind, let detail):
            if kind == .split, let variant = detail["variant"]?.string { state.variants[name] = variant }
            note(kind, at: now, cause, detail, step: name, &state, &decision)
            return target
        case .wait(let until, var detail):
            state.waitingSince = now
            state.dueAt = until
            detail["until"] = .string(until.rfc3339)
            note(.waiting, at: now, cause, detail, step: name, &state, &decision)
            return nil
        case .send(let order):
            send(order, at: now, cause, step: name, &state, &decision)
            return placed.next
        case .exit(let reason):
            end(reason, at: now, cause, &state, &decision)
            return nil
        }
    }

    /// Asks for the message, or once more for the one that was asked for too early.
    private func send(
        _ order: SendOrder, at now: Instant, _ cause: Cause, step: String, _ state: inout InstanceState,
        _ decision: inout Decision
    ) {
        var detail: [String: JSON] = [
            "template": .string(order.template), "channel": .string(order.channel),
            "purpose": .string(order.purpose),
        ]
        let visit = state.visits[step, default: 1]
        if let before = state.sentBefore.removeValue(forKey: InstanceState.send(step, visit: visit)) {
            guard let before else {
                note(.restated, at: now, cause, ["skipped": "sentBefore"], step: step, &state, &decision)
                return
            }
            decision.renewals.append(
                IntentCorrection(.renewed, before, of: state.profileID, at: now, mergeID: nil))
            detail["intentId"] = .string(before.description)
            detail["unless"] = "sentBefore"
        } else {
            let intent = intent(order, at: now, step, state)
            decision.intents.append(intent)
            detail["intentId"] = .string(intent.intentID.description)
        }
        note(.sent, at: now, cause, detail, step: step, &state, &decision)
    }

    private func intent(_ order: SendOrder, at now: Instant, _ step: String, _ state: InstanceState)
        -> SendIntent
    {
        let visit = state.visits[step, default: 1]
        let id = UUIDv7.derived(
            at: now, from: "intent", state.journey, state.id.description, step, String(visit))
        var variables = order.variables
        variables["trigger"] = state.trigger
        variables["journey"] = [
            "id": .string(state.journey), "name": .string(definition.name),
            "version": .integer(Int64(state.version)), "instanceId": .string(state.id.description),
            "step": .string(step), "visit": .integer(Int64(visit)),
            "enteredAt": .string(state.enteredAt.rfc3339),
        ]
        return SendIntent(
            intentID: IntentID(id), journey: state.journey, journeyVersion: state.version,
            instanceID: state.id,
            step: step, profileID: state.profileID, channel: order.channel, template: order.template,
            purpose: order.purpose, variables: variables, at: now)
    }

    private func end(
        _ reason: String, at now: Instant, _ cause: Cause, _ state: inout InstanceState,
        _ decision: inout Decision
    ) {
        state.endedAt = now
        state.endReason = reason
        state.dueAt = nil
        state.waitingSince = nil
        note(.exited, at: now, cause, ["reason": .string(reason)], step: state.step, &state, &decision)
    }

    private func note(
        _ kind: HistoryKind, at now: Instant, _ cause: Cause, _ detail: [String: JSON], step: String?,
        _ state: inout InstanceState, _ decision: inout Decision
    ) {
        let ordinal = state.entries
        state.entries += 1
        let id = UUIDv7.derived(at: now, from: "history", state.id.description, String(ordinal))
        decision.history.append(
            HistoryEntry(
                id: HistoryID(id), journey: state.journey, version: state.version, instanceID: state.id,
                profileID: state.profileID, ordinal: ordinal, kind: kind, step: step, at: now,
                cause: cause.json, detail: .object(detail)))
    }
}
