import ConsentDomain
import Models
import Postgres
import ProfileStore

/// Takes decisions out of what devices say of purposes with every event.
struct PreferenceReading: Sendable {
    let key: IdentifierKey

    /// What is said with an event, and the event.
    struct Said: Sendable {
        let report: PreferenceReport
        let event: TrackingEvent
    }

    /// The reports of an event that has any.
    func said(_ event: TrackingEvent, under profile: ProfileID) -> [Said] {
        let preferences = PreferenceReport.preferences(of: event)
        guard !preferences.isEmpty else { return [] }
        let device = key.mark(of: event.anonymousID ?? event.userID ?? event.subjectKey)
        return preferences.map { purpose, action in
            Said(
                report: PreferenceReport(
                    .init(profileID: profile, device: device, purpose: purpose), action,
                    at: min(event.timestamp, event.receivedAt)), event: event)
        }
    }

    /// The decisions among them, in their order; what was said is remembered. Purposes that nobody defined are left out.
    func decisions(
        _ all: [Said], in transaction: PostgresTransaction
    ) async throws -> [NewDecision] {
        guard !all.isEmpty else { return [] }
        let purposes = Set(try await PurposeStore.list(in: transaction).map(\.purpose.id))
        let all = all.filter { purposes.contains($0.report.key.purpose) }
        let known = try await PreferenceStore.read(Set(all.map(\.report.key)), in: transaction)
        var memory = PreferenceMemory(known)
        let decisions = all.filter { memory.take($0.report) }.map { said in
            NewDecision(
                profileID: said.report.key.profileID,
                signal: ConsentSignal(said.event, says: said.report.action, of: said.report.key.purpose))
        }
        let new = memory.last.filter { key, report in
            guard let before = known[key] else { return true }
            return before.action != report.action || report.at - before.at >= .hours(1)
        }
        try await PreferenceStore.keep(Array(new.values), in: transaction)
        return decisions
    }
}
