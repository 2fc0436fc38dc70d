import IdentityDomain
import Models
import Testing

@Suite struct CorrectedNamesTests {
    private let people = (0..<4).map { ProfileID(UUIDv7.derived(at: start, from: "p\($0)")) }

    /// The rule in the words of its documentation, over plain lists: what was taken since from the person whom anything else
    /// means that was not taken from anybody since.
    private func oracle(
        _ observation: Observation, taken: [(Identifier, ProfileID, Instant)],
        owners: [Identifier: ProfileID],
        canonical: [ProfileID: ProfileID]
    ) -> Set<Identifier> {
        let counting = taken.filter { observation.at <= $0.2 }
        let others = observation.allIdentifiers.filter { one in !counting.contains { $0.0 == one } }
        var wrong: Set<Identifier> = []
        for (identifier, id, _) in counting where observation.allIdentifiers.contains(identifier) {
            for other in others {
                guard let owner = owners[other] else { continue }
                if canonical[owner] == canonical[id] { wrong.insert(identifier) }
            }
        }
        return wrong
    }

    @Test("what a late event says is taken off where the rule says so, and nothing else")
    func random() throws {
        var generator = seededGenerator("corrected names")
        var (taking, leaving) = (0, 0)
        for _ in 0..<5_000 {
            let isAlias = Bool.random(using: &generator)
            let event = event(
                Int.random(in: 0..<100, using: &generator), isAlias ? .alias : .identify,
                user: Bool.random(using: &generator) ? "u" : nil,
                device: Bool.random(using: &generator) ? "d" : nil,
                email: Bool.random(using: &generator) ? "e@x.org" : nil, previous: isAlias ? "p" : nil,
                contacts: Bool.random(using: &generator) ? ["7"] : [])
            let observation = Observation(event)
            // The last two are merged into the first, or are themselves.
            var canonical = Dictionary(uniqueKeysWithValues: people.map { ($0, $0) })
            for id in people.suffix(2) where Bool.random(using: &generator) { canonical[id] = people[0] }
            var owners: [Identifier: ProfileID] = [:]
            var taken: [(Identifier, ProfileID, Instant)] = []
            for identifier in observation.allIdentifiers {
                if Bool.random(using: &generator) {
                    owners[identifier] = people.randomElement(using: &generator)
                }
                for id in people where Int.random(in: 0..<4, using: &generator) == 0 {
                    taken.append(
                        (identifier, id, start + .seconds(Int.random(in: 0..<100, using: &generator))))
                }
            }
            let resolver = Resolver(
                owners: owners,
                profiles: people.map { ProfileState(id: $0, canonicalID: canonical[$0], createdAt: start) })
            var names: [Identifier: [ProfileID: Instant]] = [:]
            for (identifier, id, at) in taken { names[identifier, default: [:]][id] = at }
            let left = CorrectedNames(names).without(observation, of: resolver)
            let expected = oracle(observation, taken: taken, owners: owners, canonical: canonical)
            #expect(
                left.allIdentifiers == observation.allIdentifiers.filter { !expected.contains($0) },
                "\(observation.allIdentifiers), taken \(taken), owners \(owners)")
            #expect(left.joined.isDisjoint(with: expected))
            #expect(left.refused.count - observation.refused.count == expected.count)
            // Once more it changes nothing.
            #expect(CorrectedNames(names).without(left, of: resolver).allIdentifiers == left.allIdentifiers)
            if expected.isEmpty { leaving += 1 } else { taking += 1 }
        }
        #expect(taking > 200 && leaving > 500)
    }
}
