import Models

/// What happens to the people of one case: the same in every world.
struct ShardOrderScript {
    /// An edge between two people, as identity decides it.
    struct Edge: Hashable {
        var ordinal: Int
        /// Whom the evidence names, of the person who stays and of the one who is merged.
        var survivor: Int
        var merged: Int
    }

    struct Change {
        var edge: Edge
        var isUndo: Bool
    }

    struct Deed {
        var person: Int
        var name: String
    }

    static let people = 4
    static let steps = 22

    /// Whether merges are made and undone in a step, several in a row; else somebody does something.
    static func isMerging(_ step: Int) -> Bool { step % 4 == 3 && step < steps - 4 }

    private(set) var deeds: [Deed] = []
    private(set) var changes: [Int: [Change]] = [:]
    /// The edges that stand in the end.
    private(set) var lasting: Set<Int> = []

    init(_ random: TestSeed) {
        var random = random
        var forest = ShardOrderForest()
        var ordinal = 0
        for step in 0..<Self.steps {
            deeds.append(
                Deed(
                    person: Int.random(in: 0..<Self.people, using: &random),
                    name: random.pick([
                        "Product Added", "Product Added", "Signed Up", "Order Completed", "Other",
                    ])))
            guard Self.isMerging(step) else { continue }
            for _ in 0..<random.pick([1, 2, 2, 3, 4]) {
                let undoes = random.chance(50)
                if undoes, let joint = forest.joints.randomElement(using: &random) {
                    var without = forest
                    without.remove(joint.edge)
                    // As in identity, one of the two goes on as the person that both were.
                    let root = forest.root(of: joint.edge.survivor)
                    let ends = [joint.edge.survivor, joint.edge.merged].map { without.root(of: $0) }
                    guard ends.contains(root) else { continue }
                    forest = without
                    changes[step, default: []].append(Change(edge: joint.edge, isUndo: true))
                } else {
                    let pair = (0..<Self.people).shuffled(using: &random).prefix(2)
                    guard forest.root(of: pair[0]) != forest.root(of: pair[1]) else { continue }
                    ordinal += 1
                    let edge = Edge(ordinal: ordinal, survivor: pair[0], merged: pair[1])
                    forest.add(
                        edge, MergeID(UUIDv7.derived(at: JourneysFixture.start, from: "")),
                        JourneysFixture.start)
                    changes[step, default: []].append(Change(edge: edge, isUndo: false))
                }
            }
        }
        lasting = Set(forest.joints.map(\.ordinal))
    }

    /// What happens, step by step.
    var words: [String] {
        (0..<Self.steps).map { step in
            guard Self.isMerging(step) else { return "\(step): \(deeds[step].person) \(deeds[step].name)" }
            let changes = changes[step, default: []].map { change in
                let pair = "\(change.edge.merged) and \(change.edge.survivor)"
                return change.isUndo ? "\(pair) parted" : "\(pair) merged"
            }
            return "\(step): \(changes.joined(separator: ", "))"
        }
    }
}

/// Who is one person, in the shortest form: the edges that stand, in the order of their decision.
struct ShardOrderForest {
    struct Joint {
        var edge: ShardOrderScript.Edge
        var mergeID: MergeID
        var at: Instant
        /// The two people whom it joined.
        var survivor: Int
        var merged: Int
        var ordinal: Int { edge.ordinal }
    }

    private(set) var joints: [Joint] = []
    private(set) var undone: [MergeID] = []
    private var parents: [Int: Int] = [:]

    func root(of person: Int) -> Int {
        var person = person
        while let parent = parents[person] { person = parent }
        return person
    }

    mutating func add(_ edge: ShardOrderScript.Edge, _ id: MergeID, _ at: Instant) {
        joints.append(Joint(edge: edge, mergeID: id, at: at, survivor: 0, merged: 0))
        project()
    }

    mutating func remove(_ edge: ShardOrderScript.Edge) {
        undone += joints.filter { $0.edge == edge }.map(\.mergeID)
        joints.removeAll { $0.edge == edge }
        project()
    }

    private mutating func project() {
        parents = [:]
        joints.sort { $0.ordinal < $1.ordinal }
        for index in joints.indices {
            let edge = joints[index].edge
            let (survivor, merged) = (root(of: edge.survivor), root(of: edge.merged))
            parents[merged] = survivor
            (joints[index].survivor, joints[index].merged) = (survivor, merged)
        }
    }
}
