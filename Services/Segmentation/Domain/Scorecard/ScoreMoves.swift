package import Models

/// An event that moved a score.
package struct ScoreMove: Hashable, Sendable {
    package var event: Occurrence
    /// Which of the score's kinds of events it is, in words.
    package var kind: String
    /// What it added when it came: its weight, or less where the cap of its kind left no room for all of it.
    package var points: Points
    /// What is left of that.
    package var left: Points

    package var json: JSON {
        [
            "messageId": .string(event.messageID), "timestamp": .string(event.at.rfc3339),
            "kind": .string(kind), "points": .string(points.amount.text), "left": .string(left.amount.text),
        ]
    }
}

extension Scoring {
    /// What moved the score by an instant, in the order of time. What is left of all of them is the score, before its
    /// maximum, but for what is rounded off.
    package func moves(_ memory: Memory, at instant: Instant) -> [ScoreMove] {
        func decay(_ points: Points, since at: Instant, to end: Instant) -> Points {
            halfLife?.decay(points, over: end - at) ?? points
        }
        // What each kind came to at its latest event.
        var standing: [Int: (points: Points, at: Instant)] = [:]
        return memory.occurrences.prefix { $0.at <= instant }.compactMap { occurrence in
            let number = occurrence.number ?? 0
            guard events.indices.contains(number) else { return nil }
            let kind = events[number]
            let before = standing[number].map { decay($0.points, since: $0.at, to: occurrence.at) } ?? .zero
            let full = before + Points(kind.magnitude)
            let after = kind.cap.map { min(Points($0), full) } ?? full
            standing[number] = (after, occurrence.at)
            let added = kind.weight.millionths < 0 ? before - after : after - before
            return ScoreMove(
                event: occurrence, kind: kind.events.text, points: added,
                left: decay(added, since: occurrence.at, to: instant))
        }
    }
}

extension ScoreStanding {
    /// The next instant after this one at which the score, if nothing happens, ceases to be in a range that it is in, or
    /// comes into one that it is not in.
    package func nextChange(of range: AmountRange, after instant: Instant) -> Instant? {
        let holds = range.contains(points(at: instant))
        var at = instant
        while let next = nextPass(of: range, after: at), next > at {
            if range.contains(points(at: next)) != holds { return next }
            at = next
        }
        return nil
    }
}
