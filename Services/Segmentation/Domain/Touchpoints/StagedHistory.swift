package import Models

/// Something that brought a person and the company together: an event by its kind and name.
package struct Touchpoint: Hashable, Comparable, Sendable {
    package let kind: TrackingEvent.Kind
    package let name: String

    package init(kind: TrackingEvent.Kind = .track, name: String) {
        self.kind = kind
        self.name = name
    }

    /// Nil for calls that say who somebody is, and for events without a name.
    package init?(_ event: TrackingEvent) {
        switch event.kind {
        case .track, .page, .screen: break
        default: return nil
        }
        guard let name = event.name, !name.isEmpty else { return nil }
        self.init(kind: event.kind, name: name)
    }

    /// `Product Viewed`, or for what is no event of a track call `page Home`.
    package var text: String { kind == .track ? name : "\(kind.rawValue) \(name)" }

    package static func < (left: Touchpoint, right: Touchpoint) -> Bool {
        (left.text, left.kind.rawValue) < (right.text, right.kind.rawValue)
    }
}

/// An event with the journey stage that its person was in when it happened.
package struct StagedEvent: Sendable {
    package var event: TrackingEvent
    package var at: Instant
    /// Nil for none. What the event itself brings about is not in it yet.
    package var stage: String?

    package init(event: TrackingEvent, at: Instant, stage: String?) {
        (self.event, self.at, self.stage) = (event, at, stage)
    }
}

extension SegmentDecider {
    /// A person's history, in the order in which it happened, with the stages by the rules in force.
    package func staged(_ events: [TrackingEvent], of profile: ProfileID) -> [StagedEvent] {
        var state = newState()
        var stage: String?
        func follow(_ changes: [MembershipChange]) {
            for step in StageMoves.steps(in: changes) { stage = step.stage }
        }
        return events.map { ($0, Self.instant(of: $0)) }.sorted { $0.1 < $1.1 }.map { event, at in
            follow(advance(&state, to: at, of: profile))
            let staged = StagedEvent(event: event, at: at, stage: stage)
            follow(apply(event, to: &state, of: profile))
            return staged
        }
    }
}

extension SegmentDecider {
    /// The rules of stages in force with what these look at, without other segments, which would be decided for nothing.
    package var onlyStages: SegmentDecider {
        let all = set.inForce
        let known = Dictionary(all.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var wanted = Set(all.map(\.id).filter { SegmentDefinition.stage(ofKey: $0) != nil })
        var open = Array(wanted)
        while let id = open.popLast() {
            for (reference, _) in known[id]?.rule.condition.references() ?? []
            where wanted.insert(reference.key).inserted {
                open.append(reference.key)
            }
        }
        return SegmentDecider(
            SegmentSet(revision: set.revision, segments: all.filter { wanted.contains($0.id) }))
    }
}
