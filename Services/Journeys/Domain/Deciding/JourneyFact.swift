package import Models

/// Where a fact was read.
package struct StreamPosition: Hashable, Sendable {
    package var stream: String
    package var shard: Shard
    package var offset: Int64

    package init(stream: String, shard: Shard, offset: Int64) {
        self.stream = stream
        self.shard = shard
        self.offset = offset
    }

    package var json: JSON {
        ["stream": .string(stream), "shard": .integer(Int64(shard.number)), "offset": .integer(offset)]
    }
}

/// Something that happened to a profile and that a journey may act on.
package struct JourneyFact: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        case event(TrackingEvent)
        case segment(MembershipChange)
    }

    package var body: Body
    package var position: StreamPosition?
    /// A profile that was merged away leaves its segments, and one that is split off again is in them as before;
    /// that is no news of the person, so nothing exits or enters by it.
    package var isOfMergedProfile: Bool

    package init(_ body: Body, position: StreamPosition? = nil, isOfMergedProfile: Bool = false) {
        self.body = body
        self.position = position
        self.isOfMergedProfile = isOfMergedProfile
    }

    package var at: Instant {
        switch body {
        case .event(let event): event.timestamp
        case .segment(let change): change.at
        }
    }

    /// The same fact, not later than `now`: a device whose clock runs ahead must not pull timers forward.
    func settled(by now: Instant) -> JourneyFact {
        guard at > now else { return self }
        var fact = self
        switch body {
        case .event(var event):
            event.timestamp = now
            fact.body = .event(event)
        case .segment(var change):
            change.at = now
            fact.body = .segment(change)
        }
        return fact
    }

    /// The key under which an instance remembers what let it in; the same for every delivery of the fact.
    package var triggerKey: String {
        switch body {
        case .event(let event): event.messageID
        case .segment(let change): "segment \(change.change.rawValue) \(change.segment) \(change.at.rfc3339)"
        }
    }

    /// What templates see as `trigger`.
    var trigger: JSON {
        switch body {
        case .event(let event):
            [
                "kind": "event", "event": event.name.map { .string($0) } ?? .null,
                "messageId": .string(event.messageID), "timestamp": .string(event.timestamp.rfc3339),
                "properties": .object(event.properties),
            ]
        case .segment(let change):
            [
                "kind": "segment", "segment": .string(change.segment),
                "timestamp": .string(change.at.rfc3339),
                "version": .integer(Int64(change.version)), "evidence": change.evidence,
                "properties": .object(Self.properties(in: change.evidence)),
            ]
        }
    }

    /// The properties of the newest event among the evidence of a segment, if it tells: what a follow-up to
    /// repeated views is about.
    private static func properties(in evidence: JSON) -> [String: JSON] {
        evidence["event"]?["properties"]?.object ?? evidence["properties"]?.object ?? [:]
    }
}

/// Why something is recorded: the evidence kept with every entry of the history.
package enum Cause: Hashable, Sendable {
    case fact(JourneyFact)
    /// A timer, with the instant at which it was due.
    case timer(due: Instant)
    case merge(MergeID, merged: ProfileID, StreamPosition?)
    /// A merge was undone.
    case unmerge(MergeID, StreamPosition?)
    /// Somebody deleted the journey.
    case deletion

    package var json: JSON {
        switch self {
        case .fact(let fact):
            switch fact.body {
            case .event(let event):
                [
                    "kind": "event", "event": event.name.map { .string($0) } ?? .null,
                    "messageId": .string(event.messageID), "timestamp": .string(event.timestamp.rfc3339),
                    "position": fact.position?.json ?? .null,
                ]
            case .segment(let change):
                [
                    "kind": "segment", "segment": .string(change.segment),
                    "change": .string(change.change.rawValue), "at": .string(change.at.rfc3339),
                    "version": .integer(Int64(change.version)), "position": fact.position?.json ?? .null,
                ]
            }
        case .timer(let due): ["kind": "timer", "due": .string(due.rfc3339)]
        case .merge(let id, let merged, let position):
            [
                "kind": "merge", "mergeId": .string(id.description), "merged": .string(merged.description),
                "position": position?.json ?? .null,
            ]
        case .unmerge(let id, let position):
            [
                "kind": "unmerge", "mergeId": .string(id.description), "position": position?.json ?? .null,
            ]
        case .deletion: ["kind": "deletion"]
        }
    }
}
