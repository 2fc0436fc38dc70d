package import Models

/// What a score has come to by its latest event, and so at every later instant until the next.
package struct ScoreStanding: Hashable, Sendable {
    /// What one kind of event has brought.
    package struct Part: Hashable, Sendable {
        /// At the latest event of the score.
        package var points: Points
        /// How many events count.
        package var count: Int
    }

    /// The time of the latest event.
    package let at: Instant
    let halfLife: HalfLife?
    let maximum: Points?
    /// In the order of the kinds.
    package let parts: [Part]
    /// At the latest event, before the maximum.
    let sum: Points

    init(at: Instant, halfLife: HalfLife?, maximum: Points?, parts: [Part]) {
        self.at = at
        self.halfLife = halfLife
        self.maximum = maximum
        self.parts = parts
        sum = parts.reduce(.zero) { $0 + $1.points }
    }

    /// The score at an instant that is not before the latest event.
    package func points(at instant: Instant) -> Points {
        let left = left(of: sum, at: instant)
        return maximum.map { min($0, left) } ?? left
    }

    /// What is left of points at an instant.
    package func left(of points: Points, at instant: Instant) -> Points {
        halfLife?.decay(points, over: instant - at) ?? points
    }

    /// The next instant after this one at which the score, on its way to 0, comes to a number that a range names, or goes
    /// past it; nil if it never does.
    package func nextPass(of range: AmountRange, after instant: Instant) -> Instant? {
        range.bounds.compactMap { nextPass(of: Points($0), after: instant) }.min()
    }

    private func nextPass(of bound: Points, after instant: Instant) -> Instant? {
        guard let halfLife, sum != .zero else { return nil }
        // Below 0 it goes up, and everything is the other way round.
        let isBelow = sum < .zero
        var near = at
        if isBelow == (bound < .zero), bound != .zero {
            near =
                at + halfLife.estimate(from: isBelow ? -sum : sum, to: isBelow ? -bound : bound)
        }
        let reaches = first(after: instant, near: near) { isBelow ? $0 >= bound : $0 <= bound }
        let passes = first(after: instant, near: near) { isBelow ? $0 > bound : $0 < bound }
        return [reaches, passes].compactMap { $0 }.min()
    }

    /// The first instant after this one at which something is so that is not so yet, and that once so stays so. It is
    /// looked for around `near` first, where it is on paper.
    private func first(after instant: Instant, near: Instant, where holds: (Points) -> Bool) -> Instant? {
        guard let halfLife, !holds(points(at: instant)) else { return nil }
        let end = at + halfLife.silence(after: sum)
        guard end > instant, holds(points(at: end)) else { return nil }
        // Not so at `low`, so at `high`.
        var (low, high) = (instant.milliseconds, end.milliseconds)
        func look(at milliseconds: Int64) {
            guard milliseconds > low, milliseconds < high else { return }
            if holds(points(at: Instant(milliseconds: milliseconds))) {
                high = milliseconds
            } else {
                low = milliseconds
            }
        }
        look(at: near.milliseconds - 2)
        look(at: near.milliseconds + 2)
        while high - low > 1 { look(at: low + (high - low) / 2) }
        return Instant(milliseconds: high)
    }
}
