package import Models

/// Decides what comes after an attempt.
package enum WebhookDecision {
    /// The longest that a receiver may ask us to wait by `Retry-After`.
    package static let longestRetryAfter: Duration = .hours(1)
    /// The longest pause of an endpoint that fails again and again.
    package static let longestPause: Duration = .minutes(5)
    /// How long there may be nothing but failures before an endpoint is disabled.
    package static let patience: Duration = .hours(5 * 24)

    /// The answers that refuse the event rather than the call: content that the receiver can't take.
    package static let refusals: Set<Int> = [400, 413, 422]
    /// So many refusals end a delivery that others stand in line behind, some 35 minutes after the first.
    package static let refusalsInLine = 4

    /// `attempt` counts from 1 since the event was queued, and includes the one that ended so at `now`. A test is
    /// tried once, and says nothing of the endpoint but what it answered.
    ///
    /// Where the whole endpoint waits behind a delivery, one that the receiver keeps refusing is given up early; one
    /// that it can't be reached for, or that fails there, is tried for days, because what follows would fail as well.
    package static func after(
        _ outcome: WebhookOutcome, attempt: Int, of event: WebhookEventID, isTest: Bool = false,
        ordering: WebhookOrdering, health: EndpointHealth, now: Instant
    ) -> WebhookVerdict {
        if outcome.isSuccess {
            let healthy = isTest ? health : EndpointHealth(pausedUntil: health.pausedUntil)
            return WebhookVerdict(delivery: .delivered, health: healthy)
        }
        if isTest { return WebhookVerdict(delivery: .failed, health: health) }
        var after = health
        after.failures += 1
        after.failingSince = min(health.failingSince ?? now, now)
        if let pause = pause(after: outcome, failures: after.failures) {
            after.pausedUntil = max(health.pausedUntil ?? now, now + pause)
        }
        if case .answered(410, _) = outcome {
            return WebhookVerdict(delivery: .failed, health: after, disabling: .gone)
        }
        let isGivenUp =
            ordering == .endpoint && attempt >= refusalsInLine && isRefusal(outcome)
        let next = isGivenUp ? nil : WebhookSchedule.next(after: attempt, at: now, of: event)
        let delivery = next.map { next in
            WebhookVerdict.Delivery.waiting(until: max(next, now + (retryAfter(outcome) ?? .zero)))
        }
        let isHopeless = after.failingSince.map { now - $0 >= patience } ?? false
        return WebhookVerdict(
            delivery: delivery ?? .failed, health: after, disabling: isHopeless ? .failing : nil)
    }

    /// 10 s after the fifth failure in a row, twice as long after each further one.
    private static func pause(after outcome: WebhookOutcome, failures: Int) -> Duration? {
        let asked = retryAfter(outcome)
        guard failures >= EndpointHealth.failuresBeforePause else { return asked }
        let doublings = min(failures - EndpointHealth.failuresBeforePause, 10)
        return max(asked ?? .zero, min(longestPause, .seconds(10 << doublings)))
    }

    private static func isRefusal(_ outcome: WebhookOutcome) -> Bool {
        if case .answered(let status, _) = outcome { refusals.contains(status) } else { false }
    }

    private static func retryAfter(_ outcome: WebhookOutcome) -> Duration? {
        guard case .answered(let status, let asked?) = outcome, status == 429 || status == 503 else {
            return nil
        }
        return max(.zero, min(asked, longestRetryAfter))
    }
}
