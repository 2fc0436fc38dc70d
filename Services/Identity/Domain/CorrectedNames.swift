package import Models

/// The identifiers that corrections took from people, with when. What somebody said before does not give them back.
package struct CorrectedNames: Sendable {
    /// Of each identifier whose they were, and until when.
    private let taken: [Identifier: [ProfileID: Instant]]

    package init(_ taken: [Identifier: [ProfileID: Instant]] = [:]) { self.taken = taken }

    package var isEmpty: Bool { taken.isEmpty }

    /// The observation without the identifiers that were taken since from the person whom the rest of it means.
    ///
    /// One that comes alone means whoever it is of by now.
    package func without(_ observation: Observation, of resolver: Resolver) -> Observation {
        let named = observation.allIdentifiers.filter { identifier in
            taken[identifier]?.values.contains { observation.at <= $0 } ?? false
        }
        guard !named.isEmpty else { return observation }
        let meant = Set(
            observation.allIdentifiers.filter { !named.contains($0) }
                .compactMap { resolver.owner(of: $0).map { resolver.root(of: $0) } })
        let wrong = named.filter { identifier in
            taken[identifier]?.contains {
                observation.at <= $0.value && meant.contains(resolver.root(of: $0.key))
            }
                ?? false
        }
        var observation = observation
        observation.withhold(wrong, because: "corrected")
        return observation
    }
}
