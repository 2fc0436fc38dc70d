package import ConsentDomain
package import Models

/// What is left of a profile's earlier passages through a journey, whatever their version.
package struct JourneyPast: Hashable, Sendable {
    package var lastEnteredAt: Instant?
    package var lastEndedAt: Instant?
    package var triggerKeys: Set<String>

    package init(lastEnteredAt: Instant? = nil, lastEndedAt: Instant? = nil, triggerKeys: Set<String> = []) {
        self.lastEnteredAt = lastEnteredAt
        self.lastEndedAt = lastEndedAt
        self.triggerKeys = triggerKeys
    }

    package mutating func note(enteredAt: Instant, endedAt: Instant?, triggerKey: String) {
        lastEnteredAt = max(lastEnteredAt ?? enteredAt, enteredAt)
        if let endedAt { lastEndedAt = max(lastEndedAt ?? endedAt, endedAt) }
        triggerKeys.insert(triggerKey)
    }

    /// Notes a passage that, as it turned out, the profile would not have begun. Only its trigger counts: what was
    /// told once lets nobody in again.
    package mutating func noteTrigger(_ key: String) { triggerKeys.insert(key) }

    mutating func absorb(_ other: JourneyPast) {
        lastEnteredAt = [lastEnteredAt, other.lastEnteredAt].compactMap { $0 }.max()
        lastEndedAt = [lastEndedAt, other.lastEndedAt].compactMap { $0 }.max()
        triggerKeys.formUnion(other.triggerKeys)
    }
}

/// Why a trigger let nobody in.
package enum RefusedEntry: Hashable, Sendable {
    case paused
    /// Older on arrival than the journey allows.
    case tooOld(age: Duration)
    case alreadyRunning
    /// `reentry: once`.
    case alreadyEntered(at: Instant)
    /// `reentry: {after: …}`, and this long is still missing.
    case tooSoon(lastEnteredAt: Instant)
    /// The trigger came late: it happened before the previous passage ended, so it belongs to that one.
    case beforePreviousEnd(at: Instant)
    /// Whose data is restricted (GDPR article 18) is let into nothing.
    case restricted
    /// The consent policy doesn't permit the journey to somebody with these consents.
    case denied(ConsentDenial, policyVersion: Int64)
    /// What would end the journey has happened since the trigger.
    case exitAlreadyHappened(event: String, at: Instant)

    package var detail: [String: JSON] {
        switch self {
        case .paused: ["reason": "paused"]
        case .tooOld(let age): ["reason": "tooOld", "age": .string(age.text)]
        case .alreadyRunning: ["reason": "alreadyRunning"]
        case .alreadyEntered(let at): ["reason": "alreadyEntered", "enteredAt": .string(at.rfc3339)]
        case .tooSoon(let at): ["reason": "tooSoon", "enteredAt": .string(at.rfc3339)]
        case .beforePreviousEnd(let at): ["reason": "beforePreviousEnd", "endedAt": .string(at.rfc3339)]
        case .restricted: ["reason": "restricted"]
        case .denied(let denial, let version):
            [
                "reason": "denied", "purpose": .string(denial.purpose),
                "denial": .string(denial.reason.rawValue),
                "policyVersion": .integer(version),
            ]
        case .exitAlreadyHappened(let event, let at):
            ["reason": "exitAlreadyHappened", "exit": .string(event), "at": .string(at.rfc3339)]
        }
    }
}

/// Decides whether a fact lets a profile into a journey.
package struct EntryDecider {
    package enum Verdict: Hashable, Sendable {
        /// The fact is no trigger of the journey, or has been one already.
        case irrelevant
        case refused(RefusedEntry)
        case enter
    }

    private let definition: JourneyDefinition

    package init(_ definition: JourneyDefinition) { self.definition = definition }

    /// `fact` is settled; `now` is the time of the service, against which the age of the trigger is taken.
    package func decide(
        _ fact: JourneyFact, now: Instant, paused: Bool, isRunning: Bool, past: JourneyPast,
        memory: ProfileMemory
    ) -> Verdict {
        guard triggers(fact), !past.triggerKeys.contains(fact.triggerKey) else { return .irrelevant }
        if paused { return .refused(.paused) }
        let age = now - fact.at
        if age > definition.entry.maxTriggerAge { return .refused(.tooOld(age: age)) }
        if isRunning { return .refused(.alreadyRunning) }
        if let last = past.lastEnteredAt {
            switch definition.entry.reentry {
            case .once: return .refused(.alreadyEntered(at: last))
            case .after(let pause) where fact.at - last < pause:
                return .refused(.tooSoon(lastEnteredAt: last))
            case .after, .always: break
            }
        }
        if let ended = past.lastEndedAt, fact.at < ended { return .refused(.beforePreviousEnd(at: ended)) }
        return exitSince(fact.at, memory).map { .refused($0) } ?? .enter
    }

    private func triggers(_ fact: JourneyFact) -> Bool {
        switch (definition.entry.trigger, fact.body) {
        case (.event(let pattern), .event(let event)): pattern.matches(event)
        case (.segmentEntered(let segment), .segment(let change)):
            change.change == .entered && change.segment == segment
        default: false
        }
    }

    private func exitSince(_ instant: Instant, _ memory: ProfileMemory) -> RefusedEntry? {
        for rule in definition.exits {
            switch rule {
            case .event(let pattern):
                if let mark = memory.events[pattern.key], mark.at > instant {
                    return .exitAlreadyHappened(event: pattern.event, at: mark.at)
                }
            case .segmentExited(let segment):
                if let mark = memory.segments[segment], !mark.isMember, mark.at > instant {
                    return .exitAlreadyHappened(event: segment, at: mark.at)
                }
            }
        }
        return nil
    }
}
