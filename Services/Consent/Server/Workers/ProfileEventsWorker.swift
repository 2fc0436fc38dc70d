import ConsentDomain
import Logging
import Metrics
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Takes decisions out of `profile-events`, follows merges and their undoing, and forgets who is erased.
struct ProfileEventsWorker: Sendable {
    let recorder: ConsentRecorder
    let preferences: PreferenceReading
    let logger: Logger

    func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .profileEvents) { batch, transaction in
            try await take(batch, in: transaction)
        }
    }

    /// Lets the facts of a batch take effect. Decisions before merges: both are folds, so their order among
    /// each other is free, and this way each person is folded once.
    func take(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let policy = try await recorder.policies.current(in: transaction).policy
        var decisions: [NewDecision] = []
        var said: [PreferenceReading.Said] = []
        var merged: Set<ProfileID> = []
        var undone: Set<MergeID> = []
        var erased: Set<ProfileID> = []
        for record in batch.records {
            switch try ProfileFact(json: record.body) {
            case .event(_, let arrivedUnder, let event):
                said += preferences.said(event, under: arrivedUnder, policy)
                switch ConsentSignal.read(event) {
                case .none: break
                case .signal(let signal):
                    decisions.append(
                        NewDecision(profileID: arrivedUnder, signal: signal.with(Origin(of: event))))
                case .unusable:
                    Counter(label: "martlet_consent_unusable_events_total").increment()
                    logger.warning(
                        "a consent event names no purpose; it is in the timeline but not in the ledger",
                        metadata: ["messageId": "\(event.messageID)"])
                }
            case .merge(let survivor, let loser, _, _, _): merged.formUnion([survivor, loser])
            case .unmerge(let profile, let split, _, let mergeID, _, _):
                merged.formUnion([profile, split])
                undone.insert(mergeID)
            case .mergedInto, .unmergedFrom, .withheld: break
            case .erased(let profile, _): erased.insert(profile)
            }
        }
        decisions = meant(decisions, policy)
        let known = try await preferences.known(said, in: transaction)
        if !merged.isEmpty || !erased.isEmpty || said.contains(where: { $0.isFirstYes(beside: known) }) {
            // All chains before anything else: who records a decision takes the lock of decisions behind its chain. Also
            // those of people whose devices say yes for the first time: what stands of them is read.
            let speaking = said.map(\.report.key.profileID)
            try await recorder.lockPeople(
                of: merged.union(erased).union(decisions.map(\.profileID)).union(speaking), in: transaction)
        }
        decisions += try await preferences.decisions(said, known, beside: decisions, in: transaction)
        _ = try await recorder.record(decisions, at: batch.now, in: transaction)
        try await recorder.refold(merged, at: batch.now, in: transaction)
        try await ConsentStateStore.note(followed: undone, in: transaction)
        if !erased.isEmpty {
            _ = try await ConsentPrivacy.forget(Array(erased), at: batch.now, in: transaction)
        }
    }

    /// Without grants of purposes that nobody has defined: nobody can have seen what they say yes to, and once there is such
    /// a purpose it would be permitted. A refusal counts, whatever it is of.
    private func meant(_ decisions: [NewDecision], _ policy: ConsentPolicy) -> [NewDecision] {
        decisions.filter { decision in
            if decision.signal.action != .grant || policy.purposes[decision.signal.purpose] != nil {
                return true
            }
            Counter(label: "martlet_consent_unusable_events_total").increment()
            logger.warning(
                "a consent event grants a purpose that is not defined; it is in the timeline but not in the ledger",
                metadata: ["messageId": "\(decision.signal.evidence["messageId"]?.string ?? "")"])
            return false
        }
    }
}
