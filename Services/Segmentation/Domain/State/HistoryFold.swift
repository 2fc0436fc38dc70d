package import Models

/// Folds a profile's history, event by event in any order, into what the conditions in force need and its state does not
/// remember: so that no more of a long history than one event has to be held.
package struct HistoryFold: Sendable {
    private let set: SegmentSet
    /// The slots of the conditions that need the history.
    private let missing: Set<Int>
    /// From when on answers are needed.
    private let decided: Instant
    private var memories: [Int: Memory] = [:]
    private var taken = 0

    init(_ set: SegmentSet, missing: Set<Int>, decided: Instant) {
        self.set = set
        self.missing = missing
        self.decided = decided
    }

    /// Takes in an event that the state includes.
    package mutating func take(_ event: TrackingEvent) {
        let at = SegmentDecider.instant(of: event)
        for slot in set.slots(for: event) where missing.contains(slot) {
            _ = memories[slot, default: Memory()].take(
                event, for: set.conditions[slot], at: at, decided: decided)
            if memories[slot]?.isEmpty == true { memories[slot] = nil }
            taken += 1
            // Not with each event, as that takes looking at all of them.
            if taken % Self.pace == 0 { forget() }
        }
    }

    private static let pace = 1_000

    /// Lets go of what there is no room for, whatever else comes.
    private mutating func forget() {
        let slots = memories.keys.sorted()
        let counts = slots.map { memories[$0]?.occurrences.count ?? 0 }
        guard let shares = Room.shares(of: counts, in: set.room) else { return }
        for (slot, share) in zip(slots, shares) { _ = memories[slot]?.forgetAll(but: share) }
    }

    /// What the conditions remember, in ascending order of their slots.
    var held: [ProfileState.HeldMemory] {
        memories.sorted { $0.key < $1.key }.map { ProfileState.HeldMemory(slot: $0.key, memory: $0.value) }
    }

    subscript(slot: Int) -> Memory? { memories[slot] }

    /// Which events it has to be shown; nil for all.
    package var events: [WantedEvents]? {
        var wanted: Set<WantedEvents> = []
        for slot in missing {
            guard let own = set.conditions[slot].interest.events else { return nil }
            wanted.formUnion(own)
        }
        return Array(wanted)
    }
}

/// Events of a kind, of one name or of any.
package struct WantedEvents: Hashable, Sendable {
    package let kind: TrackingEvent.Kind
    package let name: String?
}

extension Interest {
    /// The events by kind and name; nil if others may matter as well.
    fileprivate var events: [WantedEvents]? {
        switch self {
        case .selectors(let selectors):
            selectors.flatMap { selector in
                selector.names.map { $0.map { WantedEvents(kind: selector.kind, name: $0) } }
                    ?? [WantedEvents(kind: selector.kind, name: nil)]
            }
        case .trait: [WantedEvents(kind: .identify, name: nil)]
        case .account: [WantedEvents(kind: .group, name: nil)]
        case .references, .consent: []
        case .identifier, .context: nil
        }
    }
}
