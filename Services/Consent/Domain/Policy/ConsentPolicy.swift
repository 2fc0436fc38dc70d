import Models

/// What data may be used for, and which uses need which purposes. Declarative; each version is kept.
package struct ConsentPolicy: Hashable, Sendable {
    /// A kind of thing that can need purposes.
    package enum Kind: String, Sendable, CaseIterable {
        /// By the name of a track call, or `type:identify`, `type:page` and so on for the others.
        case events
        case traits, segments, journeys, channels, destinations
        /// What the recommendations of a placement, and `*` those of any, need.
        case recommendations
        /// By the type of an identifier: whether it may lead from one to another profile.
        case identifiers
    }

    /// What one thing needs.
    package struct Requirement: Hashable, Sendable {
        /// All of them, in the order of their names.
        package var purposes: [String]
        /// What is stored of an event where they are not permitted.
        package var otherwise: EventStorage

        package init(_ purposes: some Sequence<String>, otherwise: EventStorage = .count) {
            self.purposes = Set(purposes).sorted()
            self.otherwise = otherwise
        }
    }

    package var purposes: [String: Purpose] {
        get { contents.purposes }
        set { contents = PolicyContents(newValue, requires) }
    }
    /// By kind and name; the name `*` stands for all that have no entry of their own.
    package var requires: [Kind: [String: Requirement]] {
        get { contents.requires }
        set { contents = PolicyContents(purposes, newValue) }
    }
    private var contents: PolicyContents

    package init(purposes: [Purpose] = [], requires: [Kind: [String: Requirement]] = [:]) {
        contents = PolicyContents(
            Dictionary(purposes.map { ($0.id, $0) }, uniquingKeysWith: { $1 }), requires)
    }

    /// What a thing needs; nil where the policy says nothing of it.
    package func requirement(of kind: Kind, _ name: String) -> Requirement? {
        contents.requirement(of: kind, name)
    }

    /// Why a use is denied, purpose by purpose; nil where it is permitted.
    func denial(of use: ConsentUse, _ state: [String: ConsentWord], now: Instant) -> ConsentDenial? {
        // Most uses are of one thing.
        if use.purposes.isEmpty, use.channel == nil, use.things.count == 1 {
            return contents.denial(of: use, use.things[0], state, now: now)
        }
        return contents.denial(of: use, purposes(neededFor: use), state, now: now)
    }

    /// The purposes that a use needs, in the order of their names.
    package func purposes(neededFor use: ConsentUse) -> [String] {
        var needed = Set(use.purposes)
        for thing in use.things { needed.formUnion(requirement(of: thing.kind, thing.name)?.purposes ?? []) }
        if let channel = use.channel {
            needed.formUnion(requirement(of: .channels, channel)?.purposes ?? [])
        }
        return needed.sorted()
    }

    /// As much of it as a use is decided by, for evidence: the same permission follows from it.
    package func excerpt(for use: ConsentUse) -> ConsentPolicy {
        var excerpt = ConsentPolicy()
        for id in purposes(neededFor: use) {
            guard var purpose = purposes[id] else { continue }
            (purpose.texts, purpose.signals) = ([:], SignalNames())
            excerpt.purposes[id] = purpose
        }
        for thing in use.allThings {
            if let requirement = requirement(of: thing.kind, thing.name) {
                excerpt.requires[thing.kind, default: [:]][thing.name] = requirement
            }
        }
        return excerpt
    }
}

/// What may be stored of an event.
package enum EventStorage: String, Sendable, CaseIterable {
    /// All of it.
    case full
    /// Under a name of the day, without any identifier.
    case pseudonymous
    /// Nothing but that there was one.
    case count
}
