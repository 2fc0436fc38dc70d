import ConsentDomain
import Models
import Testing

@Suite("What somebody chooses on their page")
struct PreferenceStateTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)

    private func randomState(_ generator: inout SeededGenerator) -> PreferenceState {
        var policy = ConsentPolicy()
        for id in ["a", "b", "c", "d"] where Int.random(in: 0..<6, using: &generator) > 0 {
            let basis = LegalBasis.allCases.randomElement(using: &generator) ?? .consent
            var purpose = Purpose(id: id, name: id, legalBasis: basis, textVersion: "1")
            if basis == .consent, Bool.random(using: &generator) {
                purpose.lasts = ConsentTerm("PT\(Int.random(in: 1...20, using: &generator))M")
            }
            if Bool.random(using: &generator) { purpose.channels = ["sms"] }
            policy.purposes[id] = purpose
        }
        var words: [String: ConsentWord] = [:]
        let names =
            ["a", "b", "c", "d", "gone", "channel:email", "channel:sms", "channel:pigeon"]
            + ContactFrequency.allCases.map(\.name)
        for name in names where Bool.random(using: &generator) {
            // Few different instants, so that wishes of one instant are common.
            words[name] = ConsentWord(
                Bool.random(using: &generator) ? .granted : .withdrawn,
                at: now - .minutes(Int.random(in: 1...4, using: &generator) * 5))
        }
        return PreferenceState(policy: policy, words: words, now: now)
    }

    /// The words after changes are recorded now.
    private func state(_ before: PreferenceState, after changes: [PreferenceState.Change]) -> PreferenceState
    {
        var words = before.words
        for change in changes { words[change.name] = ConsentWord(change.action.state, at: now) }
        return PreferenceState(policy: before.policy, words: words, now: now)
    }

    @Test("whatever is chosen stands afterwards, and what stays as it is makes no entry")
    func choices() {
        var generator = seededGenerator()
        var changed = 0
        for _ in 0..<3_000 {
            let state = randomState(&generator)
            let wanted = PreferenceState.Choice(
                purposes: Set(state.choosable.map(\.id).filter { _ in Bool.random(using: &generator) }),
                channels: Set(state.channels.filter { _ in Bool.random(using: &generator) }),
                frequency: ([nil] + ContactFrequency.allCases).randomElement(using: &generator) ?? nil)
            let changes = state.changes(to: wanted)
            #expect(self.state(state, after: changes).choice == wanted)
            // Counted one by one, by the one rule that everybody asks.
            var expected = 0
            for purpose in state.choosable {
                let isPermitted = permits(
                    ConsentPolicy(purposes: [purpose]), state.words, ConsentUse(purposes: [purpose.id]),
                    now: now
                ).isPermitted
                if isPermitted != wanted.purposes.contains(purpose.id) { expected += 1 }
            }
            for channel in state.channels {
                let isRefused = state.words["channel:\(channel)"]?.state == .withdrawn
                if isRefused == wanted.channels.contains(channel) { expected += 1 }
            }
            if state.choice.frequency != wanted.frequency { expected += 1 }
            #expect(changes.count == expected)
            #expect(Set(changes.map(\.name)).count == changes.count)
            #expect(state.changes(to: state.choice).isEmpty)
            changed += changes.count
        }
        #expect(changed > 1_000)
    }

    @Test(
        "a no to everything leaves nothing on but what goes with a contract, also against an older yes that comes later"
    )
    func refusals() {
        var generator = seededGenerator()
        for _ in 0..<1_000 {
            let state = randomState(&generator)
            let after = self.state(state, after: state.refusals)
            #expect(after.choice.purposes.isEmpty)
            #expect(after.choosable.allSatisfy { after.words[$0.id]?.state == .withdrawn })
            #expect(after.fixed.allSatisfy { after.isOn($0) })
            #expect(after.refusals.isEmpty)
            for change in state.refusals where change.action == .deny {
                #expect(state.words[change.name] == nil)
            }
        }
    }

    @Test("the last wish of how often counts, and of two at one instant the rarer")
    func frequency() {
        func word(_ state: ConsentChange.State, _ minutes: Int) -> ConsentWord {
            ConsentWord(state, at: now + .minutes(minutes))
        }
        #expect(ContactFrequency([:]) == nil)
        #expect(ContactFrequency(["frequency:weekly": word(.granted, 0)]) == .weekly)
        #expect(
            ContactFrequency(["frequency:weekly": word(.granted, 0), "frequency:daily": word(.granted, 1)])
                == .daily)
        #expect(
            ContactFrequency(["frequency:weekly": word(.granted, 0), "frequency:daily": word(.withdrawn, 1)])
                == nil)
        #expect(
            ContactFrequency(["frequency:monthly": word(.granted, 1), "frequency:daily": word(.granted, 1)])
                == .monthly)
        #expect(
            ContactFrequency(["frequency:monthly": word(.withdrawn, 1), "frequency:daily": word(.granted, 1)])
                == .daily)
    }

    @Test("no purpose can have the name of a wish")
    func names() {
        for channel in ["email", "sms"] {
            #expect(ContactWish.names(forChannel: channel).allSatisfy { !Purpose.isID($0) })
        }
        #expect(ContactWish.channel(named: ContactWish.name(ofChannel: "sms")) == "sms")
        #expect(ContactWish.channel(named: "marketing") == nil)
    }
}
