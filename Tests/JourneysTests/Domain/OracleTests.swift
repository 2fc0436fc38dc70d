import JourneysDomain
import Models
import Testing

@Suite("Deciders against a plain simulator")
struct OracleTests {
    private static let traits: [String: JSON] = ["plan": "gold"]

    @Test(
        "random journeys over random histories, with restarts and duplicates, come out as the simulator says")
    func agreement() throws {
        let seed = TestSeed.value
        print("seed \(seed)")
        var random = TestSeed(seed)
        var words: [Substring: Int] = [:]
        for round in 0..<1000 {
            let journeys = ["one", "two"].map { ($0, RandomJourney.make(id: $0, seed: random.next())) }
            let actions = RandomHistory.make(seed: random.next(), orderly: random.chance(30))
            let logs = try Self.decide(journeys.map(\.1.definition), actions)
            for (id, made) in journeys {
                var oracle = JourneyOracle(id: id, definition: made.json, traits: Self.traits)
                oracle.run(actions)
                #expect(
                    logs[id] ?? [] == oracle.log,
                    "MARTLET_SEED=\(seed) round \(round): \(made.json.compact)\n\(Self.text(actions))")
                if logs[id] ?? [] != oracle.log { return }
                for line in oracle.log { words[line.prefix { $0 != " " }, default: 0] += 1 }
            }
        }
        // Agreement about nothing would be none.
        for word in ["enter", "refuse", "send", "exit"] {
            #expect(words[Substring(word), default: 0] > 1000, "\(words)")
        }
    }

    @Test("when nothing comes late, it makes no difference how late timers are swept")
    func sweepsAreInvisible() throws {
        let seed = TestSeed.value
        print("seed \(seed)")
        var random = TestSeed(seed)
        for round in 0..<300 {
            let made = RandomJourney.make(id: "one", seed: random.next())
            let actions = RandomHistory.make(seed: random.next(), orderly: true)
            let last = actions.suffix(1)
            let lazy = actions.filter { if case .sweep = $0 { false } else { true } } + last
            let prompt = try Self.decide([made.definition], actions)
            #expect(
                try Self.decide([made.definition], lazy) == prompt,
                "MARTLET_SEED=\(seed) round \(round): \(made.json.compact)")
        }
    }

    /// What the deciders do, in words, by journey.
    private static func decide(
        _ definitions: [JourneyDefinition], _ actions: [TestAction]
    ) throws -> [String: [String]] {
        let catalog = JourneyCatalog(current: definitions.map { .init(definition: $0, status: .active) })
        var journeys = ProfileJourneys(profileID: RandomHistory.profile, traits: traits)
        var stored: [InstanceID: JSON] = [:]
        var all = Decision()
        for action in actions {
            switch action {
            case .fact(let fact, let now): all.append(journeys.apply(fact, now: now, catalog: catalog))
            case .sweep(let now): all.append(journeys.fireTimers(through: now, catalog: catalog))
            case .restart:
                for (id, state) in journeys.changed { stored[id] = state.json }
                journeys = try reload(journeys.memory, stored)
            }
        }
        let refusals = all.history.filter { $0.kind == .notEntered }
        let ids = all.history.filter { $0.kind != .notEntered }.map(\.id)
        #expect(Set(ids).count == ids.count, "every entry of the history has an id of its own")
        #expect(Set(refusals.map(\.id)).isDisjoint(with: ids))
        #expect(Set(all.intents.map(\.intentID)).count == all.intents.count, "no message is asked for twice")
        return Dictionary(grouping: all.history, by: \.journey).mapValues { $0.compactMap(words) }
    }

    /// What another process finds: everything through its JSON.
    private static func reload(_ memory: ProfileMemory, _ stored: [InstanceID: JSON]) throws
        -> ProfileJourneys
    {
        func again(_ json: JSON) throws -> JSON { try JSONParser.parse(json.compact) }
        let states = try stored.values.map { try InstanceState(json: again($0)) }
        var past: [String: JourneyPast] = [:]
        for state in states {
            past[state.journey, default: JourneyPast()]
                .note(enteredAt: state.enteredAt, endedAt: state.endedAt, triggerKey: state.triggerKey)
        }
        return ProfileJourneys(
            profileID: RandomHistory.profile, traits: traits,
            memory: try ProfileMemory(json: again(memory.json)),
            running: states.filter(\.isRunning).sorted { $0.id < $1.id }, past: past)
    }

    private static func words(_ entry: HistoryEntry) -> String? {
        switch entry.kind {
        case .entered: "enter \(entry.at)"
        case .notEntered: "refuse \(entry.detail["reason"]?.string ?? "") \(entry.at)"
        case .sent: "send \(entry.detail["template"]?.string ?? "") \(entry.at)"
        case .exited: "exit \(entry.detail["reason"]?.string ?? "") \(entry.at)"
        default: nil
        }
    }

    private static func text(_ actions: [TestAction]) -> String {
        actions.map { action in
            switch action {
            case .restart: "restart"
            case .sweep(let now): "sweep \(now)"
            case .fact(let fact, let now):
                switch fact.body {
                case .event(let event):
                    "\(now): \(event.name ?? "") \(event.messageID) \(event.properties["n"] ?? .null) at \(fact.at)"
                case .segment(let change): "\(now): \(change.change) \(change.segment) at \(fact.at)"
                }
            }
        }.joined(separator: "\n")
    }
}
