package import Models

/// What it takes to see whether somebody may still be held.
package struct KnownGrounds: Hashable, Sendable {
    /// When the youngest of the person's profiles came to be: who has just come has yet to be asked.
    package var knownSince: Instant
    /// What they last said, by purpose.
    package var words: [String: ConsentWord]
    /// When something last happened that shows a contract, of the kind that the rule names.
    package var lastContract: Instant?

    package init(knownSince: Instant, words: [String: ConsentWord] = [:], lastContract: Instant? = nil) {
        (self.knownSince, self.words, self.lastContract) = (knownSince, words, lastContract)
    }
}

extension ConsentPolicy {
    /// Since when nothing has permitted to hold what is known of somebody; nil where something does now.
    ///
    /// Any purpose is a basis that permits a use by itself: a consent that stands, a legitimate interest that nobody has objected
    /// to, a contract. For which places and channels it is says what may be done, not what may be held, so these are not
    /// asked. What somebody says starts the time anew, also a no: whoever speaks is somebody who may say yes yet.
    ///
    /// An objection to what is done unless somebody objects, to sale, sharing and direct marketing, has to be kept to be heeded:
    /// who made one is held for that, or would be sold and written to again when they come back as somebody new.
    package func withoutBasis(_ person: KnownGrounds, by rule: NoBasisRule, now: Instant) -> Instant? {
        var since = person.knownSince
        for purpose in purposes.values {
            let word = person.words[purpose.id]
            if let word { since = max(since, word.at) }
            if word?.state == .withdrawn, purpose.mustRemember { return nil }
            if purpose.legalBasis == .contract, let contract = rule.contract {
                guard let last = person.lastContract else { continue }
                let end = last + contract.within
                if now < end { return nil }
                since = max(since, end)
                continue
            }
            var held = purpose
            (held.jurisdictions, held.channels) = ([], [])
            if held.denial(word, ConsentUse(), now: now) == nil { return nil }
            if let end = word.flatMap({ purpose.expiry(of: $0) }) { since = max(since, end) }
        }
        return since
    }

    /// Whether somebody is to be erased for want of a basis. `grounds` is since when the policy has had the grounds that it has:
    /// a change of these starts everybody's time anew.
    package func lacksBasis(
        _ person: KnownGrounds, since grounds: Instant, by rule: NoBasisRule, now: Instant
    ) -> Bool {
        guard let since = withoutBasis(person, by: rule, now: now) else { return false }
        return max(since, grounds) < rule.boundary(now: now)
    }

    /// Whether another policy has the same grounds to hold anybody: purposes, what they rest on, and how long consent lasts.
    package func hasGrounds(of other: ConsentPolicy) -> Bool {
        purposes.count == other.purposes.count
            && purposes.allSatisfy { id, purpose in
                guard let same = other.purposes[id] else { return false }
                return purpose.legalBasis == same.legalBasis && purpose.lasts == same.lasts
            }
    }
}

extension Purpose {
    /// Whether a no to it has to be remembered, as it is permitted without one.
    fileprivate var mustRemember: Bool {
        legalBasis == .legitimateInterest && (isSaleOrSharing || isDirectMarketing)
    }
}
