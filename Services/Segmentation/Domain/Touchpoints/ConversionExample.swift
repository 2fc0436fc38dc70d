package import Models

/// What somebody did in the time before an instant, and whether they converted in the time after it.
///
/// The instant is drawn from a hash of the person, so that everybody gives one example, examples don't depend on each
/// other, and learning again over the same history learns the same.
package struct ConversionExample: Hashable, Sendable {
    /// How often they had each touchpoint.
    package var counts: [Touchpoint: Int]
    package var isConverted: Bool

    package init(counts: [Touchpoint: Int], isConverted: Bool) {
        self.counts = counts
        self.isConverted = isConverted
    }

    package struct Question: Hashable, Sendable {
        package var conversion: EventSelector
        /// How long after the instant a conversion counts.
        package var horizon: Duration
        /// How long before it touchpoints count.
        package var lookback: Duration
        package var now: Instant

        package init(conversion: EventSelector, horizon: Duration, lookback: Duration, now: Instant) {
            self.conversion = conversion
            self.horizon = horizon
            self.lookback = lookback
            self.now = now
        }
    }

    /// Nil for somebody whose history is too young to say what followed from anything.
    package init?(of profile: ProfileID, _ history: [TrackingEvent], _ question: Question) {
        let events = history.map { (event: $0, at: SegmentDecider.instant(of: $0)) }
        guard let first = events.map(\.at).min() else { return nil }
        let latest = question.now - question.horizon
        guard first <= latest else { return nil }
        let span = UInt64((latest - first).milliseconds) + 1
        let draw = StableHash.hash64("conversion-example", profile.description)
        let cut = first + .milliseconds(Int64(draw % span))
        counts = [:]
        isConverted = false
        for (event, at) in events {
            if at <= cut, at > cut - question.lookback, let touchpoint = Touchpoint(event) {
                counts[touchpoint, default: 0] += 1
            }
            if at > cut, at <= cut + question.horizon, question.conversion.matches(event) {
                isConverted = true
            }
        }
    }
}
