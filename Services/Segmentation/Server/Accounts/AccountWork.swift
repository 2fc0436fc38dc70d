import Models
import Postgres
import Sealing
import SegmentationDomain

/// What others in somebody's accounts tell, among the work on states.
extension MembershipWork {
    /// What a profile's event is to its rules: a group call goes along with what is known of the account.
    func shown(_ event: TrackingEvent, to state: ProfileState) -> [TrackingEvent] {
        let names = decider.set.accountTraits
        guard !names.isEmpty, let group = AccountBook.group(of: event) else { return [event] }
        return AccountEvents.own(
            event, of: group, accounts.known(of: group, named: names), decided: state.decidedAt)
    }

    /// Shows a profile what is known of an account that it belongs to.
    mutating func take(
        _ traits: [String: AccountKnowledge.Told], of group: String, by profile: ProfileID
    ) {
        guard case .state(let old)? = states[profile] else { return }
        var state = old
        for event in AccountEvents.all(of: group, traits, decided: state.decidedAt) {
            note(decider.apply(event, to: &state, of: profile), nil)
        }
        // Most of a large account have nothing new to hear, and need not be written.
        if state != old { keep(state, of: profile) }
    }

    /// Writes down what the calls so far said, before it is read for somebody's history.
    mutating func settleAccounts() async throws {
        try await writeAccounts()
        accounts.hasBeenWritten()
    }

    func writeAccounts() async throws {
        guard !accounts.isWritten else { return }
        _ = try await transaction.pipeline(try accounts.writes(under: try await vault.days.key(at: now)))
        if accounts.hasChanges { try await AccountStore.notify(in: transaction) }
    }

    /// What is known of the accounts of profiles, as events, if any rule asks.
    func accountEvents(
        of profiles: some Collection<ProfileID>
    ) async throws -> [ProfileID: [TrackingEvent]] {
        try await AccountStore.standing(
            of: profiles, named: decider.set.accountTraits, vault: vault, in: transaction
        ).mapValues { groups in
            groups.flatMap { AccountEvents.all(of: $0.group, $0.traits, decided: .distantPast) }
        }
    }
}
