import Models
import SegmentationDomain

/// What somebody has yet to hear that no fact at hand tells: each is heard before the first fact that is not of an earlier
/// time, and the rest after all facts, so that none of these is late for it.
struct Unheard {
    /// What stands about consent, in the order of time.
    var decisions: [TrackingEvent] = []
    /// What others told of accounts.
    var accounts: [(group: String, traits: [String: AccountKnowledge.Told])] = []
}

extension MembershipWork {
    /// Reads what stands about consent of those of the profiles who have no state yet: it may have been said before any
    /// rule asked, and nobody tells it again.
    mutating func hearOfConsents(of profiles: Set<ProfileID>) async throws {
        let new = profiles.filter { if case .fresh? = states[$0] { true } else { false } }
        for (profile, decisions) in try await consents(of: new) {
            unheard[profile, default: Unheard()].decisions = decisions.sorted {
                SegmentDecider.instant(of: $0) < SegmentDecider.instant(of: $1)
            }
        }
    }

    /// Reads what is on its way to the members of the accounts of the profiles at hand, so that nothing is decided of a later
    /// instant before it.
    mutating func hearOfAccounts() async throws {
        let names = decider.set.accountTraits
        guard !names.isEmpty, try await AccountStore.hasChanges(in: transaction) else { return }
        let known = states.keys.filter { if case .state? = states[$0] { true } else { false } }
        let standing = try await AccountStore.standing(
            of: known, named: names, changing: true, vault: vault, in: transaction)
        for (profile, groups) in standing { unheard[profile, default: Unheard()].accounts = groups }
    }

    /// Lets a profile hear what was said up to an instant.
    mutating func hear(_ state: inout ProfileState, of profile: ProfileID, upTo instant: Instant) {
        guard var waiting = unheard.removeValue(forKey: profile) else { return }
        let said = waiting.decisions.prefix { SegmentDecider.instant(of: $0) <= instant }
        if state.decidedAt == .distantPast {
            decider.begin(&state, with: Array(said))
        } else {
            for event in said { note(decider.apply(event, to: &state, of: profile), nil) }
        }
        waiting.decisions.removeFirst(said.count)
        for place in waiting.accounts.indices {
            let (group, traits) = waiting.accounts[place]
            let told = traits.filter { $0.value.at <= instant }
            for event in AccountEvents.all(of: group, told, decided: state.decidedAt) {
                note(decider.apply(event, to: &state, of: profile), nil)
            }
            waiting.accounts[place].traits = traits.filter { $0.value.at > instant }
        }
        waiting.accounts.removeAll(where: \.traits.isEmpty)
        if !waiting.decisions.isEmpty || !waiting.accounts.isEmpty { unheard[profile] = waiting }
    }

    /// Lets everybody who has a state hear the rest.
    mutating func hearTheRest() {
        for profile in unheard.keys.sorted() {
            guard case .state(let old)? = states[profile] else { continue }
            var state = old
            hear(&state, of: profile, upTo: .distantFuture)
            if state != old { keep(state, of: profile) }
        }
        unheard = [:]
    }
}
