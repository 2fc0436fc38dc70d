package import ConsentDomain
package import Models

/// What journeys need of those who enter them, by a version of the consent policy.
package struct JourneyConsent: Sendable {
    package let policy: ConsentPolicy
    package let version: Int64

    /// Nil where the policy asks nothing for journeys.
    package init?(_ policy: ConsentPolicy, version: Int64) {
        guard !(policy.requires[.journeys] ?? [:]).isEmpty else { return nil }
        (self.policy, self.version) = (policy, version)
    }

    /// Why somebody may not enter a journey now, if they may not.
    package func refusal(
        of journey: String, to words: [String: ConsentWord], country: JSON?, now: Instant
    ) -> RefusedEntry? {
        let use = ConsentUse(
            things: [.init(.journeys, journey)],
            jurisdiction: country?.string.flatMap(Jurisdiction.init(loosely:)))
        return permits(policy, words, use, now: now).denial.map { .denied($0, policyVersion: version) }
    }
}

/// The journeys there are: the current version of each, and the older ones that somebody is still in.
package struct JourneyCatalog: Sendable {
    package struct Entry: Sendable {
        package let definition: JourneyDefinition
        package let status: JourneyStatus

        package init(definition: JourneyDefinition, status: JourneyStatus) {
            self.definition = definition
            self.status = status
        }
    }

    private struct Key: Hashable {
        var journey: String
        var version: Int
    }

    /// The journeys that may let somebody in or refuse to, by id.
    package let open: [Entry]
    private let byVersion: [Key: JourneyDefinition]
    private let statuses: [String: JourneyStatus]

    /// Every track event that may matter to anybody.
    package let eventNames: Set<String>
    package let remembered: [EventPattern]
    package let asksTraits: Bool
    package let asksSegments: Bool
    /// The consent policy, where it says what journeys need.
    package var consent: JourneyConsent?

    package init(current: [Entry], older: [JourneyDefinition] = []) {
        open = current.filter { $0.status != .draft }.sorted { $0.definition.id < $1.definition.id }
        statuses = Dictionary(current.map { ($0.definition.id, $0.status) }, uniquingKeysWith: { $1 })
        let all = current.map(\.definition) + older
        byVersion = Dictionary(
            all.map { (Key(journey: $0.id, version: $0.version), $0) }, uniquingKeysWith: { $1 })
        eventNames = all.reduce(into: []) { $0.formUnion($1.eventNames) }
        remembered = Array(Set(all.flatMap(\.rememberedEvents))).sorted { $0.key < $1.key }
        asksTraits = all.contains(where: \.asksTraits)
        asksSegments = all.contains(where: \.asksSegments)
    }

    package func definition(of journey: String, version: Int) -> JourneyDefinition? {
        byVersion[Key(journey: journey, version: version)]
    }

    package func isPaused(_ journey: String) -> Bool { statuses[journey] == .paused }
}
