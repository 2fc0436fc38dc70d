package import Models

/// How one attempt at a delivery ended.
package enum WebhookOutcome: Hashable, Sendable {
    /// The receiver answered; `retryAfter` is what it asked for with a 429 or 503.
    case answered(status: Int, retryAfter: Duration?)
    /// There was no answer, for a reason in a word.
    case unanswered(String)

    package var isSuccess: Bool {
        if case .answered(200..<300, _) = self { true } else { false }
    }
}

/// What the events of an endpoint wait for.
package enum WebhookOrdering: String, CaseIterable, Sendable {
    /// Everything that is queued before them: one is made after the other.
    case endpoint
    /// What is queued before them of the same profile; those of different profiles are made at the same time.
    case profile
}

/// What is known of how an endpoint is doing.
package struct EndpointHealth: Hashable, Sendable {
    /// Failed attempts since the last success.
    package var failures: Int
    /// When the first of them was.
    package var failingSince: Instant?
    /// Until when nothing is sent to it.
    package var pausedUntil: Instant?

    package init(failures: Int = 0, failingSince: Instant? = nil, pausedUntil: Instant? = nil) {
        self.failures = failures
        self.failingSince = failingSince
        self.pausedUntil = pausedUntil
    }

    /// From so many failures in a row, one attempt is made at a time, with pauses between them.
    package static let failuresBeforePause = 5

    package var isFailing: Bool { failures >= Self.failuresBeforePause }
}

/// Why an endpoint gets nothing any more.
package enum EndpointDisabling: String, Sendable {
    /// Somebody has switched it off.
    case byOperator = "operator"
    /// It has answered 410.
    case gone
    /// For days there was nothing but failures.
    case failing
}

/// What an attempt means for its delivery and for its endpoint.
package struct WebhookVerdict: Hashable, Sendable {
    package enum Delivery: Hashable, Sendable {
        case delivered
        case waiting(until: Instant)
        case failed
    }

    package var delivery: Delivery
    package var health: EndpointHealth
    package var disabling: EndpointDisabling?

    package init(delivery: Delivery, health: EndpointHealth, disabling: EndpointDisabling? = nil) {
        self.delivery = delivery
        self.health = health
        self.disabling = disabling
    }
}
