package import Models

/// What the journeys remember of a profile, whether it is in one or not: the segments it is in, and when the
/// events that matter to some journey last happened. With it, an event that was read before the trigger that
/// it belongs after is not lost.
package struct ProfileMemory: Hashable, Sendable {
    /// The last change of a membership.
    package struct SegmentMark: Hashable, Sendable {
        package var isMember: Bool
        package var at: Instant
    }

    package private(set) var segments: [String: SegmentMark] = [:]
    /// By the key of the pattern.
    package private(set) var events: [String: EventMark] = [:]

    package init() {}

    package var memberships: Set<String> { Set(segments.filter(\.value.isMember).keys) }

    mutating func note(_ change: MembershipChange) {
        if let known = segments[change.segment], known.at > change.at { return }
        segments[change.segment] = SegmentMark(isMember: change.change == .entered, at: change.at)
    }

    mutating func note(_ event: TrackingEvent, of pattern: EventPattern) {
        note(EventMark(at: event.timestamp, messageID: event.messageID), under: pattern.key)
    }

    /// What it says of segments, each at its own time, to go through everything again: by it nobody enters or leaves a
    /// journey, for that is told as well where it is known.
    func segmentFacts(of profileID: ProfileID) -> [JourneyReplay.Arrival] {
        segments.map { segment, mark in
            JourneyReplay.Arrival(
                JourneyFact(
                    .segment(
                        MembershipChange(
                            profileID: profileID, segment: segment,
                            change: mark.isMember ? .entered : .exited,
                            at: mark.at, version: 1, reason: .unmerge, evidence: [:])),
                    isOfMergedProfile: true), at: mark.at)
        }
    }

    /// Takes in the events of a profile that was merged into this one. Not its segments: the survivor's are
    /// decided anew, and told.
    mutating func absorb(_ other: ProfileMemory) {
        for (key, mark) in other.events { note(mark, under: key) }
    }

    private mutating func note(_ mark: EventMark, under key: String) {
        if let known = events[key], known.at > mark.at { return }
        events[key] = mark
    }
}

extension ProfileMemory {
    package var json: JSON {
        [
            "segments": .object(
                segments.mapValues { ["member": .bool($0.isMember), "at": .string($0.at.rfc3339)] }),
            "events": .object(events.mapValues(\.json)),
        ]
    }

    package init(json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        for (segment, mark) in try fields.objectIfPresent("segments") {
            let mark = try JSONFields(mark, at: segment)
            segments[segment] = SegmentMark(isMember: try mark.bool("member"), at: try mark.instant("at"))
        }
        for (key, mark) in try fields.objectIfPresent("events") {
            events[key] = try EventMark(json: mark, at: key)
        }
    }
}
