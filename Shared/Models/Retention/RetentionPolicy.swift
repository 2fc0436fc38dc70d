/// For how long which data is kept. Declarative; each version is kept. What it says nothing of is kept until its person is
/// erased.
package struct RetentionPolicy: Hashable, Sendable {
    package var keep: [RetentionClass: Duration]
    /// Of events on timelines: by the name of a track call, or `type:identify`, `type:page` and so on for the others.
    package var events: [String: Duration]
    /// Of events on timelines that have no time of their own: by a purpose that the consent policy says they need.
    package var purposes: [String: Duration]
    /// When people are erased whom nothing permits to hold; nil: never.
    package var noBasis: NoBasisRule?

    package init(
        keep: [RetentionClass: Duration] = [:], events: [String: Duration] = [:],
        purposes: [String: Duration] = [:], noBasis: NoBasisRule? = nil
    ) {
        (self.keep, self.events, self.purposes, self.noBasis) = (keep, events, purposes, noBasis)
    }

    /// What was there before this instant is kept no longer; nil where it is kept. A full hour, so that something is kept for
    /// its time and for less than an hour more.
    package func boundary(of kind: RetentionClass, now: Instant) -> Instant? {
        keep[kind].map { Self.boundary($0, now: now) }
    }

    /// For how long an event stays on timelines, by its name and the purposes that it needs: what is said of its name, else
    /// the shortest of what is said of its purposes and of all events.
    package func keep(event name: String, needing needs: some Sequence<String>) -> Duration? {
        if let own = events[name] { return own }
        return (needs.compactMap { purposes[$0] } + [keep[.timelineEvents]].compactMap { $0 }).min()
    }

    static func boundary(_ keep: Duration, now: Instant) -> Instant {
        let hour: Int64 = 3_600_000
        let before = (now - keep).milliseconds
        let rest = before % hour
        return Instant(milliseconds: before - (rest < 0 ? rest + hour : rest))
    }
}

// MARK: Timelines

/// What is to go from timelines: events of some names, or all but those of some names, of before an instant.
package struct TimelineRetention: Hashable, Sendable {
    /// Tells it from others of the same policy, also after a change of the policy.
    package var name: String
    package var boundary: Instant
    /// Those meant; nil are all but ``others``.
    package var events: [String]?
    package var others: [String] = []

    /// Whether an event that was recorded then is to go.
    package func takes(_ name: String, recordedAt: Instant) -> Bool {
        recordedAt < boundary && (events?.contains(name) ?? !others.contains(name))
    }
}

extension RetentionPolicy {
    /// What of timelines is to go. `needs` are the purposes that the consent policy says events need, by their names; of the
    /// name `*` all that have no entry there.
    package func timelines(needs: [String: [String]], now: Instant) -> [TimelineRetention] {
        let named = Set(events.keys).union(needs.keys).subtracting(["*"]).sorted()
        var times: [Duration: [String]] = [:]
        for name in named {
            if let keep = keep(event: name, needing: needs[name] ?? needs["*"] ?? []) {
                times[keep, default: []].append(name)
            }
        }
        var found = times.sorted { $0.key < $1.key }.map { keep, names in
            TimelineRetention(
                name: "\(keep.text) " + names.joined(separator: ", "),
                boundary: Self.boundary(keep, now: now), events: names)
        }
        if let keep = keep(event: "", needing: needs["*"] ?? []) {
            found.append(
                TimelineRetention(
                    name: "\(keep.text) all"
                        + (named.isEmpty ? "" : " but " + named.joined(separator: ", ")),
                    boundary: Self.boundary(keep, now: now), events: nil, others: named))
        }
        return found
    }
}
