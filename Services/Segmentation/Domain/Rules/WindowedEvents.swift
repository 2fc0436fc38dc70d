import Models

/// The events that a condition is about, in its window.
package struct WindowedEvents: Hashable, Sendable {
    static let keys = EventSelector.keys + Window.keys

    package let events: EventSelector
    package let window: Window

    init(_ field: RuleField) throws(RuleProblem) {
        events = try EventSelector(field)
        window = try Window(in: field)
    }

    /// When an event counts, apart from the window; nil if it cannot matter from `decided` on.
    func spans(of event: TrackingEvent, at instant: Instant, decided: Instant) -> Spans? {
        guard window.contains(instant, at: decided) else { return nil }
        return events.spans(of: event)
    }

    /// Whether the events need not be remembered one by one by a condition that adds them up.
    var isLasting: Bool { !window.moves && !events.isTimed }

    /// Puts an event into the memory, whose outdated events go; false if it is there already. `adds` says that the
    /// condition adds them up.
    func insert(
        _ occurrence: Occurrence, decided: Instant, adds: Bool = false, into memory: inout Memory
    ) -> Bool {
        memory.forget(before: decided, window: window)
        let isNew = memory.insert(occurrence)
        if adds, isLasting { memory.tallyUp() } else { memory.keep() }
        return isNew
    }

    func inside(_ memory: Memory, at instant: Instant) -> ArraySlice<Occurrence> {
        memory.inside(window, at: instant, isTimed: events.isTimed)
    }

    /// The next instant after this one at which a truth changes that depends on the events inside alone, if nothing
    /// happens. `truths` are those of what is left when the first, the second, … of the events inside has gone.
    func nextChange(
        _ memory: Memory, after instant: Instant, from now: Bool,
        truths: (ArraySlice<Occurrence>) -> [Bool]
    ) -> Instant? {
        if events.isTimed { return memory.nextBoundary(of: window, after: instant, isTimed: true) }
        guard window.moves else { return nil }
        let inside = inside(memory, at: instant)
        for (occurrence, truth) in zip(inside, truths(inside)) where truth != now {
            // Of events that leave together the last tells; one before it may name the instant for nothing.
            return window.end(of: occurrence.at)
        }
        return nil
    }

    var members: [String: JSON] { events.members.merging(window.members) { $1 } }
}

extension PropertyPath {
    /// The values there by which events are kept apart, each once, at most 100. A long one is cut, and told apart by a
    /// hash.
    func groups(in properties: [String: JSON]) -> Set<String> { Self.groups(of: values(in: properties)) }

    /// The same of the values that a path has led to.
    static func groups(of values: [JSON]) -> Set<String> {
        Set(
            values.prefix(100).map { value in
                let text = value.string ?? value.compact
                guard text.utf8.count > RuleLimits.nameLength else { return text }
                return "\(text.prefix(50))…\(String(StableHash.hash64(text), radix: 16))"
            })
    }
}
