package import Models

/// What is known of accounts, as events: their traits are told by any of their members, and each of these is shown what the
/// others said.
extension SegmentSet {
    /// The traits of accounts that rules ask for.
    package var accountTraits: Set<String> { index.accountTraits }
}

extension SegmentPreview {
    /// The traits of accounts that have to be known of the accounts of whoever is looked at.
    package var accountTraits: Set<String> { decider.set.accountTraits }
}

/// How a state is shown what is known of an account: what was told up to its latest decided instant all at once, as late
/// facts, and what was told after that each at its own instant.
package enum AccountEvents {
    /// A group call of the profile's own, when `known` is what is known of the account with this call. What others told up to
    /// then goes along with it, so that nothing is decided in between; what they told later follows.
    package static func own(
        _ event: TrackingEvent, of group: String, _ known: [String: AccountKnowledge.Told], decided: Instant
    ) -> [TrackingEvent] {
        let instant = SegmentDecider.instant(of: event)
        var (now, later): ([String: AccountKnowledge.Told], [String: AccountKnowledge.Told]) = ([:], [:])
        for (name, told) in known {
            guard told.at > max(instant, decided) else {
                now[name] = told
                continue
            }
            later[name] = told
            now[name] = event.traits[name].map {
                AccountKnowledge.Told(
                    value: $0, at: instant, messageID: event.messageID, position: event.position)
            }
        }
        var own = event
        own.account = AccountKnowledge(now, isAll: false)
        return [own] + one(each: later, of: group)
    }

    /// What is known of an account, for a state that was decided up to an instant.
    package static func all(
        of group: String, _ known: [String: AccountKnowledge.Told], decided: Instant
    ) -> [TrackingEvent] {
        let late = known.filter { $0.value.at <= decided }
        return (late.isEmpty ? [] : [TrackingEvent(of: group, late)])
            + one(each: known.filter { $0.value.at > decided }, of: group)
    }

    /// An event for each call, in the order of time.
    private static func one(
        each known: [String: AccountKnowledge.Told], of group: String
    ) -> [TrackingEvent] {
        var calls: [(told: AccountKnowledge.Told, traits: [String: AccountKnowledge.Told])] = []
        for (name, told) in known.sorted(by: { AccountKnowledge.Told.precedes($0.value, $1.value) }) {
            if let last = calls.last?.told, last.at == told.at, last.messageID == told.messageID {
                calls[calls.count - 1].traits[name] = told
            } else {
                calls.append((told, [name: told]))
            }
        }
        return calls.map { TrackingEvent(of: group, $0.traits) }
    }
}
