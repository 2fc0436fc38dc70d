import ConsentDomain
import Logging
import Metrics
import Models
import Postgres
import ProfileStore

/// Takes decisions out of what devices say of purposes with every event: preferences, strings and signals.
struct PreferenceReading: Sendable {
    let profiles: ProfileStore
    let logger: Logger
    private var key: IdentifierKey { profiles.key }

    init(profiles: ProfileStore, logger: Logger) { (self.profiles, self.logger) = (profiles, logger) }

    /// What is said with an event, and the event.
    struct Said: Sendable {
        let report: PreferenceReport
        /// Those of the same device's other signals.
        let others: [PreferenceReport.Key]
        let said: EventSignals.Said
        let event: TrackingEvent

        /// Whether it is a yes of a device that nothing was heard of.
        func isFirstYes(beside known: [PreferenceReport.Key: PreferenceReport]) -> Bool {
            report.action == .grant && known[report.key] == nil
        }
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
                    place(said.kind), said.action, at: min(event.timestamp, event.receivedAt),
                    chosenAt: signals.chosenAt[said.kind]),
                others: EventSignals.Kind.allCases.filter { $0 != said.kind }.map(place), said: said,
                event: event)
        }
    }

    /// What the devices have said before.
    func known(
        _ all: [Said], in transaction: PostgresTransaction
    ) async throws -> [PreferenceReport.Key: PreferenceReport] {
        try await PreferenceStore.read(Set(all.flatMap { [$0.report.key] + $0.others }), in: transaction)
    }

    /// The decisions among them, in their order, beside others of the same batch; what was said is remembered. The chains of
    /// those of whom something is said must be locked, so that nobody decides anything meanwhile.
    func decisions(
        _ all: [Said], _ known: [PreferenceReport.Key: PreferenceReport], beside others: [NewDecision],
        in transaction: PostgresTransaction
    ) async throws -> [NewDecision] {
        guard !all.isEmpty else { return [] }
        var memory = PreferenceMemory(known)
        let people = try await profiles.people(
            Array(Set(all.map(\.report.key.profileID) + others.map(\.profileID))), in: transaction)
        var standing = try await standing(of: people.values, in: transaction)
        func person(_ id: ProfileID) -> ProfileID { people[id]?.profileID ?? id }
        for other in others {
            standing.take(
                ConsentWord(other.signal.action.state, at: other.signal.occurredAt), of: other.signal.purpose,
                by: person(other.profileID))
        }
        let heard = all.filter { said in
            let isFirst = memory.last[said.report.key] == nil
            guard memory.take(said.report, beside: said.others) else { return false }
            let person = person(said.report.key.profileID)
            guard !isFirst || standing.admits(first: said.report, of: person) else { return false }
            standing.take(
                ConsentWord(said.report.action.state, at: said.report.at), of: said.report.key.purpose,
                by: person)
            return true
        }
        let decisions = heard.map { said in
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

    private func standing(
        of people: some Sequence<Person>, in transaction: PostgresTransaction
    ) async throws -> StandingWords {
        let consents = try await profiles.consents(of: people, in: transaction)
        return StandingWords(
            consents.mapValues { words in words.mapValues { ConsentWord($0.state, at: $0.at) } })
    }
}
