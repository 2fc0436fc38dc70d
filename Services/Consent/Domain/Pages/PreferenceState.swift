package import Models

/// What somebody sees of a policy and of their own words on their page, and what a choice there comes to.
package struct PreferenceState: Hashable, Sendable {
    package let policy: ConsentPolicy
    /// What they last said, of purposes and of wishes.
    package let words: [String: ConsentWord]
    package let now: Instant

    package init(policy: ConsentPolicy, words: [String: ConsentWord], now: Instant) {
        (self.policy, self.words, self.now) = (policy, words, now)
    }

    /// The purposes that somebody has a say in, in the order of their ids.
    package var choosable: [Purpose] { purposes.filter { $0.legalBasis != .contract } }

    /// Those that go with a contract whatever somebody says.
    package var fixed: [Purpose] { purposes.filter { $0.legalBasis == .contract } }

    private var purposes: [Purpose] { policy.purposes.values.sorted { $0.id < $1.id } }

    /// Whether a purpose may be pursued as far as it is up to the person; where and by which channel is another matter.
    package func isOn(_ purpose: Purpose) -> Bool {
        switch (purpose.legalBasis, words[purpose.id]) {
        case (.contract, _): true
        case (.legitimateInterest, let word): word?.state != .withdrawn
        case (.consent, nil): false
        case (.consent, .some(let word)):
            word.state == .granted && purpose.expiry(of: word).map { now < $0 } ?? true
        }
    }

    /// The channels that anything is said of: e-mail, those of the policy, and those that somebody has refused.
    package var channels: [String] {
        let named = policy.purposes.values.flatMap(\.channels)
        let needing = (policy.requires[.channels] ?? [:]).keys.filter { $0 != "*" && Purpose.isLabel($0) }
        let said = words.keys.compactMap(ContactWish.channel(named:))
        return Set(["email"] + named + needing + said).sorted()
    }

    package var frequency: ContactFrequency? { ContactFrequency(words) }

    /// What somebody has chosen.
    package struct Choice: Hashable, Sendable {
        /// The purposes that are to be on.
        package var purposes: Set<String>
        /// The channels that they may be reached by.
        package var channels: Set<String>
        package var frequency: ContactFrequency?

        package init(purposes: Set<String>, channels: Set<String>, frequency: ContactFrequency?) {
            (self.purposes, self.channels, self.frequency) = (purposes, channels, frequency)
        }
    }

    /// What is to be recorded, one entry each.
    package struct Change: Hashable, Sendable {
        /// A purpose, or the name of a wish.
        package let name: String
        package let action: ConsentAction

        package init(_ name: String, _ action: ConsentAction) { (self.name, self.action) = (name, action) }
    }

    /// What is as it stands.
    package var choice: Choice {
        Choice(
            purposes: Set(choosable.filter(isOn).map(\.id)),
            channels: Set(channels.filter { !ContactWish.refuses($0, words) }), frequency: frequency)
    }

    /// What a choice changes. Of what stays as it is nothing is recorded: who leaves a box unticked that never was ticked has
    /// said nothing.
    package func changes(to wanted: Choice) -> [Change] {
        let standing = choice
        var changes: [Change] = []
        for purpose in choosable
        where standing.purposes.contains(purpose.id) != wanted.purposes.contains(purpose.id) {
            changes.append(Change(purpose.id, wanted.purposes.contains(purpose.id) ? .grant : .withdraw))
        }
        for channel in channels
        where standing.channels.contains(channel) != wanted.channels.contains(channel) {
            changes.append(
                Change(
                    ContactWish.name(ofChannel: channel),
                    wanted.channels.contains(channel) ? .grant : .withdraw))
        }
        if let frequency = wanted.frequency, frequency != standing.frequency {
            changes.append(Change(frequency.name, .grant))
        } else if wanted.frequency == nil, let frequency = standing.frequency {
            changes.append(Change(frequency.name, .withdraw))
        }
        return changes
    }

    /// A no to everything that somebody has a say in, also where they never said anything: an older yes that comes in later
    /// must not undo it.
    package var refusals: [Change] {
        choosable.filter { words[$0.id]?.state != .withdrawn }.map { purpose in
            Change(
                purpose.id, words[purpose.id] == nil && purpose.legalBasis == .consent ? .deny : .withdraw)
        }
    }
}
