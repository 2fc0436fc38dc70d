package import Models

/// The instants at which something is true: stretches in ascending order that do not touch, each from its beginning up to
/// and without its end.
package struct Spans: Hashable, Sendable {
    package private(set) var stretches: [Range<Instant>]

    package static let never = Spans(stretches: [])
    package static let always = Spans(.distantPast, .distantFuture)

    /// One stretch; the distant future as its end means that there is none.
    package init(_ beginning: Instant, _ end: Instant) {
        stretches = beginning < end ? [beginning..<end] : []
    }

    /// Stretches in any order.
    package init(stretches: [Range<Instant>]) {
        self.stretches = []
        for stretch in stretches.sorted(by: { $0.lowerBound < $1.lowerBound }) where !stretch.isEmpty {
            if let last = self.stretches.last, stretch.lowerBound <= last.upperBound {
                let end = max(last.upperBound, stretch.upperBound)
                self.stretches[self.stretches.count - 1] = last.lowerBound..<end
            } else {
                self.stretches.append(stretch)
            }
        }
    }

    package var isAlways: Bool { self == .always }
    package var isNever: Bool { stretches.isEmpty }

    package func contains(_ instant: Instant) -> Bool {
        stretches.contains {
            $0.lowerBound <= instant && (instant < $0.upperBound || $0.upperBound == .distantFuture)
        }
    }

    /// The next instant after this one at which a stretch begins or ends.
    package func nextBoundary(after instant: Instant) -> Instant? {
        for stretch in stretches {
            if stretch.lowerBound > instant { return stretch.lowerBound }
            if stretch.upperBound > instant {
                return stretch.upperBound < .distantFuture ? stretch.upperBound : nil
            }
        }
        return nil
    }

    package func union(_ other: Spans) -> Spans { Spans(stretches: stretches + other.stretches) }

    package func intersection(_ other: Spans) -> Spans {
        if isAlways { return other }
        if other.isAlways { return self }
        var common: [Range<Instant>] = []
        for stretch in stretches {
            for another in other.stretches where stretch.overlaps(another) {
                common.append(stretch.clamped(to: another))
            }
        }
        return Spans(stretches: common)
    }
}
