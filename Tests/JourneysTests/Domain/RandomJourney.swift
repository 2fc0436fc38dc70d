import JourneysDomain
import Models

/// Makes journeys as an author would write them, but at random.
struct RandomJourney {
    private var random: TestSeed
    private var labels: [String] = []
    private var templates = 0

    static let events = ["A", "B", "C"]
    static let segments = ["S", "T"]

    /// A definition that the reader accepts; definitions with loops that don't wait are thrown away.
    static func make(id: String, seed: UInt64) -> (json: JSON, definition: JourneyDefinition) {
        var seed = seed
        while true {
            var maker = RandomJourney(random: TestSeed(seed))
            let json = maker.journey()
            if let document = try? JourneyDocument.read(DefinitionNode(json), id: id, version: 1) {
                return (json, document.definition)
            }
            seed &+= 1_000_003
        }
    }

    private mutating func journey() -> JSON {
        var entry: [String: JSON] =
            random.chance(70) ? pattern(nameKey: "event") : ["segment": .string(random.pick(Self.segments))]
        entry["reentry"] = random.pick(["once", "always", ["after": "30h"]])
        if random.chance(50) { entry["maxTriggerAge"] = random.pick(["2h", "12h", "9d"]) }
        let exits: [JSON] = (0..<Int.random(in: 0...2, using: &random)).map { _ in
            random.chance(70)
                ? .object(pattern(nameKey: "event")) : ["segmentExited": .string(random.pick(Self.segments))]
        }
        let steps = block(depth: 0)
        return patched([
            "entry": .object(entry), "exits": .array(exits), "steps": .array(steps), "status": "active",
        ])
    }

    private mutating func block(depth: Int) -> [JSON] {
        (0..<Int.random(in: depth == 0 ? 2...5 : 0...3, using: &random)).map { _ in step(depth: depth) }
    }

    private mutating func step(depth: Int) -> JSON {
        var members: [String: JSON] = [:]
        let kind = Int.random(in: 0..<100, using: &random)
        switch kind {
        case 0..<30: members["wait"] = ["for": .string(duration())]
        case 30..<45:
            var wait = pattern(nameKey: "untilEvent")
            wait["timeout"] = .string(duration())
            members["wait"] = .object(wait)
        case 45..<75:
            templates += 1
            members["send"] = ["template": .string("t\(templates)"), "purpose": "marketing"]
        case 75..<85 where depth < 2: members["branch"] = branch(depth: depth)
        case 85..<90 where depth < 2:
            members["split"] = [
                "variants": [
                    ["name": "a", "weight": 1, "then": .array(block(depth: depth + 1))],
                    ["name": "b", "weight": 3, "then": .array(block(depth: depth + 1))],
                ]
            ]
        case 90..<96: members["goto"] = "@"
        case 96...: members["exit"] = ["reason": "enough"]
        default: members["wait"] = ["for": "1h"]
        }
        if members["split"] != nil || random.chance(40) {
            let label = "l\(labels.count)"
            labels.append(label)
            members["label"] = .string(label)
        }
        return .object(members)
    }

    private mutating func branch(depth: Int) -> JSON {
        let cases: [JSON] = (0..<Int.random(in: 1...2, using: &random)).map { _ in
            let when: JSON =
                switch Int.random(in: 0..<3, using: &random) {
                case 0: .object(pattern(nameKey: "event"))
                case 1: ["segment": .string(random.pick(Self.segments))]
                default: ["trait": "plan", "equals": .string(random.pick(["gold", "iron"]))]
                }
            return ["when": when, "then": .array(block(depth: depth + 1))]
        }
        var members: [String: JSON] = ["cases": .array(cases)]
        if random.chance(60) { members["default"] = .array(block(depth: depth + 1)) }
        return .object(members)
    }

    private mutating func pattern(nameKey: String) -> [String: JSON] {
        var members: [String: JSON] = [nameKey: .string(random.pick(Self.events))]
        if random.chance(40) {
            let bound = JSON.integer(Int64.random(in: 0...3, using: &random))
            members["where"] = [["property": "n", .init(random.pick(["equals", "atLeast"])): bound]]
        }
        return members
    }

    private mutating func duration() -> String { random.pick(["1h", "90m", "3h", "1d", "2d12h"]) }

    /// Puts labels that exist in place of `@`.
    private mutating func patched(_ json: JSON) -> JSON {
        switch json {
        case .string("@"): .string(labels.isEmpty ? "none" : random.pick(labels))
        case .array(let elements): .array(elements.map { patched($0) })
        case .object(let members):
            .object(
                Dictionary(
                    members.sorted { $0.key < $1.key }.map { ($0.key, patched($0.value)) },
                    uniquingKeysWith: { $1 }))
        default: json
        }
    }
}
