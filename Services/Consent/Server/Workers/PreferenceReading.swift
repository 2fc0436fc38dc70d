import ConsentDomain
import Logging
import Metrics
import Models
import Postgres
import ProfileStore

/// Takes decisions out of what devices say of purposes with every event: preferences, strings and signals.
struct PreferenceReading: Sendable {
    let key: IdentifierKey
    let logger: Logger

    /// What is said with an event, and the event.
    struct Said: Sendable {
        let report: PreferenceReport
        /// Those of the same device's other signals.
        let others: [PreferenceReport.Key]
        let said: EventSignals.Said
        let event: TrackingEvent
    }

    /// The reports of an event that has any.
    func said(_ event: TrackingEvent, under profile: ProfileID, _ policy: ConsentPolicy) -> [Said] {
        let signals = EventSignals(event, policy)
        for (kind, mistake) in signals.mistakes {
            Counter(
                label: "martlet_consent_unreadable_signals_total", dimensions: [("signal", kind.rawValue)]
            ).increment()
            logger.notice(
                "a consent signal can't be read and counts as a refusal",
                metadata: [
                    "messageId": "\(event.messageID)", "signal": "\(kind.rawValue)",
                    "mistake": "\(mistake.detail)",
                ])
        }
        let name = event.anonymousID ?? event.userID ?? event.subjectKey
        return signals.said.map { said in
            // Each signal for itself: one that is not sent with every event would else seem to change its mind.
            func place(_ kind: EventSignals.Kind) -> PreferenceReport.Key {
                let device = kind == .preferences ? name : "\(kind.rawValue) \(name)"
                return .init(profileID: profile, device: key.mark(of: device), purpose: said.purpose)
            }
            return Said(
                report: PreferenceReport(
                    place(said.kind), said.action, at: min(event.timestamp, event.receivedAt)),
                others: EventSignals.Kind.allCases.filter { $0 != said.kind }.map(place), said: said,
                event: event)
        }
    }

    /// The decisions among them, in their order; what was said is remembered.
    func decisions(
        _ all: [Said], in transaction: PostgresTransaction
    ) async throws -> [NewDecision] {
        guard !all.isEmpty else { return [] }
        let known = try await PreferenceStore.read(
            Set(all.flatMap { [$0.report.key] + $0.others }), in: transaction)
        var memory = PreferenceMemory(known)
        let decisions = all.filter { memory.take($0.report, beside: $0.others) }.map { said in
            NewDecision(
                profileID: said.report.key.profileID,
                signal: ConsentSignal(said.event, says: said.said).with(Origin(of: said.event)))
        }
        let new = memory.last.filter { key, report in
            guard let before = known[key] else { return true }
            guard before != report else { return false }
            return before.action != report.action || report.at - before.at >= .hours(1)
        }
        try await PreferenceStore.keep(Array(new.values), in: transaction)
        return decisions
    }
}
