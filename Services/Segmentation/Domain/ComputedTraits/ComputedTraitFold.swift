package import Models

/// A trait's value at an instant, with what it rests on.
package struct ComputedTraitValue: Hashable, Sendable {
    package var value: JSON
    /// When it changes if nothing happens; nil for never.
    package var validUntil: Instant?
    /// The events that count: how many, the first and the last.
    package var events: Int
    package var first: Occurrence?
    package var last: Occurrence?
    /// Whether no event of its window was left out for being one too many.
    package var isComplete: Bool

    package var json: [String: JSON] {
        [
            "value": value, "validUntil": validUntil.map { .string($0.rfc3339) } ?? .null,
            "evidence": [
                "events": .integer(Int64(events)), "first": first.map { Occurrence(of: $0).json } ?? .null,
                "last": last.map { Occurrence(of: $0).json } ?? .null, "complete": .bool(isComplete),
            ],
        ]
    }
}

/// Works out a computed trait as of one instant: `value(definition, history, now)`, the history event by event in any order,
/// with duplicates.
package struct ComputedTraitFold: Sendable {
    package let trait: ComputedTrait
    let now: Instant
    private let limit: Int
    private var occurrences: [TraitOccurrence] = []
    /// How many events and values it holds.
    package private(set) var held = 0
    /// Whether events were left out.
    private var isShortened = false

    package init(
        _ trait: ComputedTrait, at now: Instant, keeping limit: Int = ComputedTraitLimits.occurrences
    ) {
        self.trait = trait
        self.now = now
        self.limit = max(1, limit)
    }

    /// The value that a history gives.
    package static func value(
        _ trait: ComputedTrait, of history: some Sequence<TrackingEvent>, at now: Instant
    ) -> ComputedTraitValue {
        var fold = ComputedTraitFold(trait, at: now)
        for event in history { fold.take(event) }
        return fold.value()
    }

    /// Takes in an event.
    package mutating func take(_ event: TrackingEvent) {
        let instant = SegmentDecider.instant(of: event)
        guard trait.source.window.contains(instant, at: now),
            let spans = trait.source.events.spans(of: event),
            let occurrence = trait.occurrence(of: event, spans: spans, at: instant)
        else { return }
        occurrences.append(occurrence)
        held += 1 + occurrence.values.count
        if occurrences.count >= limit * 2 { settle() }
    }

    /// In ascending order, each once, and of too many the latest: the same whatever the order in which they came.
    mutating func settle() {
        occurrences.sort { left, right in
            guard left.event.isSameEvent(as: right.event) else { return left.event < right.event }
            return left.event.place < right.event.place
        }
        var kept: [TraitOccurrence] = []
        kept.reserveCapacity(occurrences.count)
        for occurrence in occurrences
        where !(kept.last?.event.isSameEvent(as: occurrence.event) ?? false) {
            kept.append(occurrence)
        }
        if kept.count > limit {
            isShortened = true
            kept.removeFirst(kept.count - limit)
        }
        occurrences = kept
        held = kept.reduce(0) { $0 + 1 + $1.values.count }
    }

    /// What it comes to. `cut` says that of what happened up to then not everything was taken in.
    package func value(cut: Instant? = nil) -> ComputedTraitValue {
        var fold = self
        fold.settle()
        let isTimed =
            trait.source.events.isTimed || fold.occurrences.last.map { $0.at > now } ?? false
        var value = isTimed ? fold.timed() : fold.plain()
        value.isComplete = !fold.isShortened && cut.map { trait.beginning(at: now) > $0 } ?? true
        return value
    }

    /// What the orders come to of which a trait of the kind `rfm` tells; nil if there are none.
    package func orders() -> RFMStanding? {
        var fold = self
        fold.settle()
        let inside = fold.inside(at: now)
        guard let last = inside.last?.at else { return nil }
        let total = inside.reduce(into: Int128(0)) { $0 += $1.total }
        return RFMStanding(
            recency: now - last, frequency: inside.count, monetary: Amount(millionths: Int64(clamping: total))
        )
    }

    private func value(
        _ standing: TraitStanding, of inside: [TraitOccurrence], until end: Instant?
    ) -> ComputedTraitValue {
        ComputedTraitValue(
            value: trait.value(standing, at: now), validUntil: end, events: inside.count,
            first: inside.first?.event, last: inside.last?.event, isComplete: true)
    }

    // MARK: Events that leave one after the other

    /// What is left when the first so many have gone is added up from the end.
    private func plain() -> ComputedTraitValue {
        var tally = TraitTally(trait)
        var standings = [tally.standing]
        standings.reserveCapacity(occurrences.count + 1)
        for occurrence in occurrences.reversed() {
            tally.add(occurrence)
            standings.append(tally.standing)
        }
        standings.reverse()
        return value(standings[0], of: occurrences, until: nextChange(of: standings))
    }

    private func nextChange(of standings: [TraitStanding]) -> Instant? {
        let value = trait.value(standings[0], at: now)
        var (gone, at) = (0, now)
        for _ in 0..<ComputedTraitLimits.lookAhead {
            let tick = trait.nextTick(standings[gone], after: at)
            let leaving = nextLeaving(after: gone, of: standings)
            guard let next = [tick, leaving?.at].compactMap({ $0 }).min() else { return nil }
            at = next
            if let leaving, leaving.at == next { gone = leaving.gone }
            if trait.value(standings[gone], at: at) != value { return at }
        }
        return at
    }

    /// When so many have gone that the standing is another.
    private func nextLeaving(after gone: Int, of standings: [TraitStanding]) -> (gone: Int, at: Instant)? {
        guard trait.source.window.moves else { return nil }
        var place = gone
        while place < occurrences.count {
            // Events of one instant or day leave together.
            let end = trait.source.window.end(of: occurrences[place].at)
            repeat {
                place += 1
            } while place < occurrences.count
                && trait.source.window.end(of: occurrences[place].at) == end
            if standings[place] != standings[gone] { return (place, end) }
        }
        return nil
    }

    // MARK: Events that time lets in and out

    func inside(at instant: Instant) -> [TraitOccurrence] {
        occurrences.filter { occurrence in
            occurrence.at <= instant && trait.source.window.contains(occurrence.at, at: instant)
                && occurrence.event.spans?.contains(instant) ?? true
        }
    }

    private func standing(of inside: [TraitOccurrence]) -> TraitStanding {
        inside.reversed().reduce(into: TraitTally(trait)) { $0.add($1) }.standing
    }

    private func timed() -> ComputedTraitValue {
        let inside = inside(at: now)
        let standing = standing(of: inside)
        return value(standing, of: inside, until: nextChange(from: standing))
    }

    private func nextChange(from first: TraitStanding) -> Instant? {
        let value = trait.value(first, at: now)
        var (standing, at) = (first, now)
        for _ in 0..<ComputedTraitLimits.lookAhead {
            var next = trait.nextTick(standing, after: at) ?? .distantFuture
            for occurrence in occurrences {
                let end = trait.source.window.end(of: occurrence.at)
                let boundary = occurrence.event.spans?.nextBoundary(after: at) ?? .distantFuture
                for change in [occurrence.at, end, boundary] where change > at { next = min(next, change) }
            }
            guard next < .distantFuture else { return nil }
            at = next
            standing = self.standing(of: inside(at: at))
            if trait.value(standing, at: at) != value { return at }
        }
        return at
    }
}

extension Occurrence {
    /// By which the first of several copies is told.
    fileprivate var place: (Int, Int64) {
        position.map { (Int($0.shard.number), $0.offset) } ?? (.max, .max)
    }
}
