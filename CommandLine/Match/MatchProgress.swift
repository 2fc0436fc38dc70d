import Models

/// Tells on standard error what is being done and how long it took.
final class MatchProgress {
    private let clock = ContinuousClock()
    private var step: (name: String, since: ContinuousClock.Instant)?

    /// Ends the step before and begins one.
    func begin(_ name: String) {
        end()
        step = (name, clock.now)
    }

    func end() {
        guard let step else { return }
        StandardError.write("\(step.name): \((clock.now - step.since).milliseconds) ms\n")
        self.step = nil
    }
}
