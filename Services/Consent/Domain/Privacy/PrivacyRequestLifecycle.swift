package import Models

/// Where a privacy request stands between its receipt and its end, and what may become of it.
package struct PrivacyRequestLifecycle: Hashable, Sendable {
    package enum State: String, Sendable, Codable, CaseIterable {
        case received
        /// Nothing is disclosed or done until it is known who asks.
        case verifying
        case inProgress
        case completed
        /// It is not done, for a reason that the person is told.
        case refused
        /// Whoever asked has changed their mind.
        case cancelled

        /// Whether something is still to be done.
        package var isOpen: Bool {
            switch self {
            case .received, .verifying, .inProgress: true
            case .completed, .refused, .cancelled: false
            }
        }
    }

    /// What happens to a request.
    package enum Step: Hashable, Sendable {
        /// Somebody begins with it; it goes on at once unless identity has to be verified first.
        case begin(needsVerification: Bool)
        case verify
        case complete
        case refuse(reason: String)
        case cancel(reason: String?)
        /// The person was told at `noticeAt` that it takes longer, and why.
        case extend(noticeAt: Instant)
    }

    /// Why a step can't be taken.
    package enum Refusal: String, Error, Hashable, Sendable {
        /// Nothing becomes of it any more.
        case ended
        /// It is not known yet who asks.
        case notVerified
        /// It is verified, or nobody asked for that.
        case notVerifying
        case alreadyBegun
        /// The services are erasing: what is gone can't be brought back.
        case underWay
        case alreadyExtended
        /// It was due before.
        case late
        /// The person has to be told between the receipt and the first due date.
        case noticeOutOfTime
    }

    package let kind: PrivacyRequestKind
    package let regime: PrivacyRegime
    package let receivedAt: Instant
    package private(set) var state: State
    /// Why it was refused or cancelled; of one that nobody has asked for, why it was made.
    package private(set) var reason: String?
    package private(set) var verifiedAt: Instant?
    package private(set) var extendedAt: Instant?
    package private(set) var endedAt: Instant?

    /// A request that has just come.
    package init(
        kind: PrivacyRequestKind, regime: PrivacyRegime, receivedAt: Instant, reason: String? = nil
    ) {
        self.init(
            kind: kind, regime: regime, receivedAt: receivedAt, state: .received, reason: reason,
            verifiedAt: nil,
            extendedAt: nil, endedAt: nil)
    }

    /// A request as it was stored.
    package init(
        kind: PrivacyRequestKind, regime: PrivacyRegime, receivedAt: Instant, state: State, reason: String?,
        verifiedAt: Instant?, extendedAt: Instant?, endedAt: Instant?
    ) {
        self.kind = kind
        self.regime = regime
        self.receivedAt = receivedAt
        self.state = state
        self.reason = reason
        self.verifiedAt = verifiedAt
        self.extendedAt = extendedAt
        self.endedAt = endedAt
    }

    /// When it has to be answered.
    package var dueAt: Instant { regime.due(receivedAt, isExtended: extendedAt != nil) }

    /// Whether what was found may be handed out.
    package var mayDisclose: Bool { kind.discloses && state == .completed }

    /// Takes a step at `now`, or says why it can't be taken; then nothing has changed.
    package mutating func take(_ step: Step, at now: Instant) throws(Refusal) {
        guard state.isOpen else { throw .ended }
        switch step {
        case .begin(let needsVerification):
            guard state == .received else { throw .alreadyBegun }
            state = needsVerification ? .verifying : .inProgress
        case .verify:
            guard state == .verifying else { throw .notVerifying }
            state = .inProgress
            verifiedAt = now
        case .complete:
            guard state == .inProgress else { throw .notVerified }
            end(.completed, reason, now)
        case .refuse(let reason):
            if state == .inProgress, !kind.canBeStopped { throw .underWay }
            end(.refused, reason, now)
        case .cancel(let reason):
            if state == .inProgress, !kind.canBeStopped { throw .underWay }
            end(.cancelled, reason, now)
        case .extend(let noticeAt):
            guard extendedAt == nil else { throw .alreadyExtended }
            guard now <= dueAt else { throw .late }
            guard noticeAt >= receivedAt, noticeAt <= now else { throw .noticeOutOfTime }
            extendedAt = now
        }
    }

    private mutating func end(_ state: State, _ reason: String?, _ now: Instant) {
        self.state = state
        self.reason = reason
        endedAt = now
    }
}

/// When somebody is reminded of a request that is still open.
package enum PrivacyReminder: String, Sendable, CaseIterable {
    case weekBefore, dayBefore, overdue

    /// Hours before it is due.
    var lead: Duration {
        switch self {
        case .weekBefore: .hours(7 * 24)
        case .dayBefore: .hours(24)
        case .overdue: .zero
        }
    }

    /// The next one after `instant`; nil when there is none. The last one is the due date itself.
    package static func next(
        of lifecycle: PrivacyRequestLifecycle, after instant: Instant
    ) -> (reminder: PrivacyReminder, at: Instant)? {
        guard lifecycle.state.isOpen else { return nil }
        return allCases.lazy.map { ($0, lifecycle.dueAt - $0.lead) }.first { $0.1 > instant }
    }

    /// The last one up to `instant`; nil when there is none.
    package static func last(
        of lifecycle: PrivacyRequestLifecycle, upTo instant: Instant
    ) -> PrivacyReminder? {
        guard lifecycle.state.isOpen else { return nil }
        return allCases.last { lifecycle.dueAt - $0.lead <= instant }
    }
}
