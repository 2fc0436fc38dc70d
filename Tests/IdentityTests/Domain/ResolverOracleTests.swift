import IdentityDomain
import Models
import Testing

@Suite("The resolver against brute force")
struct ResolverOracleTests {
    // Each history is short and gives way to other tests: a test that computes for seconds on end would keep
    // those that wait for an answer from ever getting it.

    /// A random history with repeated deliveries.
    private func history(using generator: inout SeededGenerator) -> [TrackingEvent] {
        var events = (0..<60).map { TrackingEvent.random($0, using: &generator) }
        for _ in 0..<6 * soakFactor {
            let index = Int.random(in: 0..<events.count, using: &generator)
            events.insert(events[index], at: Int.random(in: index...events.count, using: &generator))
        }
        return events
    }

    /// Resolves in batches cut at random. A repeated message is met in the same batch, or dropped before, as
    /// ingestion does.
    private func resolve(
        _ events: [TrackingEvent], by policy: IdentityPolicy = .standard,
        using generator: inout SeededGenerator
    ) throws -> (people: RememberedPeople, placements: [Resolver.Placement?]) {
        var people = RememberedPeople()
        var placements: [Resolver.Placement?] = []
        var delivered: Set<String> = []
        var rest = events[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(Int.random(in: 1...20, using: &generator)))
            rest = rest.dropFirst(batch.count)
            var resolver = people.resolver(for: batch, policy: policy)
            for event in batch {
                placements.append(delivered.contains(event.messageID) ? nil : try resolver.resolve(event))
            }
            delivered.formUnion(batch.map(\.messageID))
            people.take(resolver)
        }
        return (people, placements)
    }

    @Test("whoever brute force finds to be one person is one, event by event, however the batches are cut")
    func oracle() async throws {
        var generator = seededGenerator()
        for _ in 0..<100 * soakFactor {
            await Task.yield()
            let events = history(using: &generator)
            let expected = BruteForceIdentity(events)
            let (people, placements) = try resolve(events, using: &generator)
            // The number of the event that made a profile is in its id.
            func id(_ number: Int) -> ProfileID {
                let maker = events[number]
                return ProfileID(
                    UUIDv7.derived(
                        at: maker.receivedAt, from: "profile", maker.sourceID.description, maker.messageID))
            }
            #expect(placements.map { $0?.profileID } == expected.placements.map { $0.map(id) })
            #expect(people.owners.count == expected.people.reduce(0) { $0 + $1.identifiers.count })
            for person in expected.people {
                for identifier in person.identifiers {
                    let owner = try #require(people.owners[identifier])
                    #expect(people.profiles[owner]?.canonicalID == id(person.canonical))
                }
                for number in person.profiles {
                    #expect(people.profiles[id(number)]?.canonicalID == id(person.canonical))
                }
                #expect(people.profiles[id(person.canonical)]?.isKnown == person.isKnown)
            }
        }
    }

    @Test("merges are taken back, reported and made again just as brute force says, whenever it happens")
    func undo() async throws {
        var generator = seededGenerator()
        for _ in 0..<80 * soakFactor {
            await Task.yield()
            var acts = history(using: &generator).map { Act.event($0) }
            for _ in 0..<12 {
                let place = Int.random(in: 10...acts.count, using: &generator)
                let merge = Int.random(in: 0..<6, using: &generator)
                acts.insert(
                    Int.random(in: 0..<4, using: &generator) == 0 ? .allow(merge) : .undo(merge), at: place)
            }
            let emails = Int.random(in: 1...3, using: &generator)
            let policy = IdentityPolicy.with(emails: emails)
            let expected = BruteForceIdentity(acts, emails: emails)
            var people = RememberedPeople()
            var delivered: Set<String> = []
            var makers: [ProfileID: Int] = [:]
            for (number, act) in acts.enumerated() {
                switch act {
                case .undo(let merge): people.undo(merge)
                case .allow(let merge): people.allow(merge)
                case .join: break
                case .event(let event):
                    guard delivered.insert(event.messageID).inserted else { continue }
                    var resolver = people.resolver(for: [event], policy: policy)
                    let placement = try resolver.resolve(event)
                    for made in resolver.changes.created { makers[made] = number }
                    people.take(resolver)
                    #expect(placement.flatMap { makers[$0.profileID] } == expected.placements[number])
                }
            }
            for (number, edge) in expected.edges.enumerated() {
                let id = people.merges[number].id
                #expect(people.undone.contains(id) == edge.isUndone)
                #expect(people.suppressed[id] ?? 0 == edge.suppressed)
            }
            for person in expected.people {
                for (id, state) in people.profiles where person.profiles.contains(makers[id] ?? -1) {
                    #expect(makers[state.canonicalID] == person.canonical)
                    if state.canonicalID == id { #expect(state.isKnown == person.isKnown) }
                }
            }
        }
    }

    @Test("traits are those of the latest event of the person, in whatever order events and merges came")
    func traits() async throws {
        var generator = seededGenerator()
        for _ in 0..<70 * soakFactor {
            await Task.yield()
            let events = history(using: &generator)
            let (people, placements) = try resolve(events, using: &generator)
            var expected: [ProfileID: EffectiveTraits] = [:]
            for (event, placement) in zip(events, placements) where event.kind == .identify {
                guard let placement else { continue }
                let root = try #require(people.profiles[placement.arrivedUnder]?.canonicalID)
                expected[root, default: EffectiveTraits()].apply(
                    event.traits, at: event.timestamp, messageID: event.messageID)
            }
            #expect(people.effectiveTraits == expected.filter { !$0.value.entries.isEmpty })
        }
    }

    @Test("traits with rules are what the rules make of everything that was said, batch by batch")
    func ruledTraits() async throws {
        var generator = seededGenerator()
        let rules: [String: TraitPolicy] = ["t0": .first, "t1": .union, "t2": .maximum]
        let policy = IdentityPolicy(
            types: IdentityPolicy.standard.types, others: nil, blocked: BlockedValues(), defaultRegion: nil,
            traits: rules)
        for _ in 0..<70 * soakFactor {
            await Task.yield()
            let events = history(using: &generator)
            let (people, placements) = try resolve(events, by: policy, using: &generator)
            var expected: [ProfileID: EffectiveTraits] = [:]
            for (event, placement) in zip(events, placements) where event.kind == .identify {
                guard let placement else { continue }
                let root = try #require(people.profiles[placement.arrivedUnder]?.canonicalID)
                let stamp = EffectiveTraits.Stamp(at: event.timestamp, messageID: event.messageID)
                for (name, value) in event.traits {
                    let rule: TraitRule = ["t0": .first, "t1": .union, "t2": .maximum][name] ?? .latest
                    expected[root, default: EffectiveTraits()].apply(
                        EffectiveTraits.Entry(value: value, stamp: stamp, from: event.sourceID, by: rule),
                        to: name)
                }
            }
            #expect(people.effectiveTraits == expected.filter { !$0.value.entries.isEmpty })
        }
    }

    @Test("the facts alone rebuild the forest of merges, and hold each event once under its person")
    func facts() async throws {
        var generator = seededGenerator()
        for _ in 0..<70 * soakFactor {
            await Task.yield()
            let events = history(using: &generator)
            let (people, _) = try resolve(events, using: &generator)
            var parent: [ProfileID: ProfileID] = [:]
            func root(_ id: ProfileID) -> ProfileID { parent[id].map(root) ?? id }
            var met: Set<String> = []
            var losers: [MergeID: ProfileID] = [:]
            for fact in people.facts {
                #expect(root(fact.profileID) == fact.profileID || fact.kind == .mergedInto)
                switch fact {
                case .event(let id, let arrivedUnder, let event):
                    #expect(met.insert(event.messageID).inserted)
                    #expect(root(arrivedUnder) == id)
                case .merge(let survivor, let merged, let merge, _, _):
                    #expect(root(merged) == merged)
                    parent[merged] = survivor
                    losers[merge] = merged
                case .mergedInto(let loser, let survivor, let merge, _):
                    #expect(losers.removeValue(forKey: merge) == loser)
                    #expect(root(loser) == survivor)
                case .withheld(let id, let arrivedUnder, let message, _, let items):
                    #expect(root(arrivedUnder) == id && met.contains(message) && !items.isEmpty)
                case .unmerge, .unmergedFrom: Issue.record("nothing was undone")
                case .erased: Issue.record("nothing was erased")
                }
            }
            #expect(losers.isEmpty)
            #expect(met == Set(events.map(\.messageID)))
            for (id, state) in people.profiles { #expect(root(id) == state.canonicalID) }
        }
    }

    @Test("without conflicts, people and their traits are what is connected, in whatever order events arrive")
    func orderIsIrrelevant() async throws {
        var generator = seededGenerator()
        for _ in 0..<70 * soakFactor {
            await Task.yield()
            // Everybody has devices and addresses of their own: no two users can ever claim the same.
            var events: [TrackingEvent] = []
            for number in 0..<40 {
                let person = Int.random(in: 0..<5, using: &generator)
                let device = "d\(person)-\(Int.random(in: 0..<3, using: &generator))"
                let isLoggedIn = Bool.random(using: &generator)
                let email = Int.random(in: 0..<3, using: &generator) == 0 ? "e\(person)@x.org" : nil
                let isTold = Int.random(in: 0..<3, using: &generator) == 0
                let value: JSON = number % 7 == 0 ? .null : .integer(Int64(number))
                events.append(
                    event(
                        number, isTold ? .identify : .track, user: isLoggedIn ? "u\(person)" : nil,
                        device: device, email: email,
                        traits: isTold ? ["t\(Int.random(in: 0..<3, using: &generator))": value] : [:],
                        // So that many were sent at the same time, and the order is not that of their arrival.
                        late: .seconds(number - Int.random(in: 0..<20, using: &generator))))
            }
            let connections = connect(events)
            let connected = partition(by: connections)
            let told = traits(of: events, by: connections)
            for _ in 0..<3 {
                let (people, _) = try resolve(events.shuffled(using: &generator), using: &generator)
                #expect(
                    partition(by: people.owners.mapValues { people.profiles[$0]?.canonicalID }) == connected)
                for (identifier, owner) in people.owners {
                    let root = try #require(people.profiles[owner]?.canonicalID)
                    #expect(people.effectiveTraits[root]?.values ?? [:] == told[identifier] ?? [:])
                }
            }
        }
    }

    private func partition<Root: Hashable>(by root: [Identifier: Root]) -> Set<Set<Identifier>> {
        Set(Dictionary(grouping: root.keys, by: { root[$0] }).values.map { Set($0) })
    }

    /// By identifier, what was said last of those connected with it: by the time, then by the bytes of the message's id.
    private func traits(
        of events: [TrackingEvent], by connections: [Identifier: Identifier]
    ) -> [Identifier: [String: JSON]] {
        let inOrder = events.sorted {
            $0.timestamp != $1.timestamp
                ? $0.timestamp < $1.timestamp : $0.messageID.utf8.lexicographicallyPrecedes($1.messageID.utf8)
        }
        var said: [Identifier: [String: JSON]] = [:]
        for event in inOrder where event.kind == .identify {
            guard let root = Observation(event).identifiers.first.flatMap({ connections[$0] }) else {
                continue
            }
            said[root, default: [:]].merge(event.traits) { $1 }
        }
        return connections.mapValues { (said[$0] ?? [:]).filter { !$0.value.isNull } }
    }

    /// Union-find over everything that was seen together.
    private func connect(_ events: [TrackingEvent]) -> [Identifier: Identifier] {
        var parent: [Identifier: Identifier] = [:]
        func root(_ identifier: Identifier) -> Identifier {
            guard let next = parent[identifier], next != identifier else { return identifier }
            return root(next)
        }
        for event in events {
            let identifiers = Observation(event).identifiers
            for identifier in identifiers { parent[root(identifier)] = root(identifiers[0]) }
        }
        return Dictionary(uniqueKeysWithValues: parent.keys.map { ($0, root($0)) })
    }
}
