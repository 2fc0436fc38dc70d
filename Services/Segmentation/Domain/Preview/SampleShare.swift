/// How many of a sample had something, and what that says of all.
package struct SampleShare: Hashable, Sendable {
    package let count: Int
    package let examined: Int

    package init(count: Int, examined: Int) {
        self.count = count
        self.examined = examined
    }

    /// The share among those examined.
    package var share: Double { examined == 0 ? 0 : Double(count) / Double(examined) }

    /// Between which shares that of all lies, in 95 of 100 samples (Wilson 1927, "Probable inference, the law of
    /// succession, and statistical inference"): also right for shares near none and all, where the usual formula fails.
    package var bounds: ClosedRange<Double> {
        guard examined > 0 else { return 0...1 }
        let (z, n) = (1.959964, Double(examined))
        let middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
        return max(0, middle - half)...min(1, middle + half)
    }

    /// The same in people, of a population; when all of it was examined, there is nothing to estimate.
    package func people(of population: Int) -> (estimate: Int, low: Int, high: Int) {
        if examined >= population { return (count, count, count) }
        let all = Double(population)
        return (
            Int((share * all).rounded()), max(count, Int((bounds.lowerBound * all).rounded(.down))),
            Int((bounds.upperBound * all).rounded(.up))
        )
    }
}
