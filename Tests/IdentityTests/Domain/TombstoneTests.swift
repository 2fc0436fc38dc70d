import IdentityDomain
import Models
import Testing

@Suite struct TombstoneTests {
    /// What is known of an identifier: somebody has it, it is erased until some time, both or neither.
    private struct World {
        var erased: [Identifier: Instant] = [:]
        var known: Set<Identifier> = []
    }

    /// The rule in the words of its documentation: of an erased name that counts at that time, everything stronger must be
    /// erased as well or nobody's, and where it is a device's, erased.
    private func oracle(_ observation: Observation, _ world: World) -> Bool {
        func isErased(_ identifier: Identifier) -> Bool {
            world.erased[identifier].map { observation.at <= $0 } ?? false
        }
        var named = observation.identifiers
        if let previous = observation.previousUserID { named.append(previous) }
        if let previous = observation.previousAnonymousID { named.append(previous) }
        return named.indices.contains { place in
            let (identifier, stronger) = (named[place], named[..<place])
            guard isErased(identifier) else { return false }
            let isDevice = identifier.kind == .anonymousID || identifier.kind.rawValue == "deviceId"
            return stronger.allSatisfy { isErased($0) || !isDevice && !world.known.contains($0) }
        }
    }

    @Test("late events are told from those of others as the rule says")
    func random() throws {
        var generator = seededGenerator("tombstones")
        var (covered, uncovered) = (0, 0)
        for _ in 0..<5_000 {
            let isAlias = Bool.random(using: &generator)
            let event = event(
                Int.random(in: 0..<100, using: &generator), isAlias ? .alias : .identify,
                user: Bool.random(using: &generator) ? "u" : nil,
                device: Bool.random(using: &generator) ? "d" : nil,
                email: Bool.random(using: &generator) ? "e@x.org" : nil, previous: isAlias ? "p" : nil,
                contacts: Bool.random(using: &generator) ? ["7"] : [])
            let observation = Observation(event)
            var world = World()
            for identifier in observation.allIdentifiers {
                if Bool.random(using: &generator) {
                    world.erased[identifier] = start + .seconds(Int.random(in: 0..<100, using: &generator))
                }
                if Int.random(in: 0..<3, using: &generator) == 0 { world.known.insert(identifier) }
            }
            let known = world.known
            let found = Tombstones(world.erased).cover(observation) { known.contains($0) }
            #expect(found == oracle(observation, world), "\(observation.identifiers) in \(world)")
            if found { covered += 1 } else { uncovered += 1 }
        }
        #expect(covered > 500 && uncovered > 500)
    }
}
