package import Models

/// A condition made ready for deciding: its leaves in order, each with its own memory, and how they combine.
package struct Rule: Sendable {
    package let condition: Condition
    package let leaves: [any LeafOperator]
    /// Whether it looks at anything besides its own memories.
    let refers: Bool
    /// What its leaves are known by; nil for those that remember nothing.
    let keys: [ConditionKey?]
    private let root: Node

    private indirect enum Node: Sendable {
        case leaf(Int)
        case group(any GroupOperator, key: String, [Node])
    }

    package init(_ condition: Condition) {
        self.condition = condition
        var leaves: [any LeafOperator] = []
        root = Self.compile(condition, into: &leaves)
        self.leaves = leaves
        refers = leaves.contains { $0 is any ReferenceOperator }
        keys = leaves.map { $0 is any ReferenceOperator ? nil : ConditionKey(Self.written($0)) }
    }

    private static func written(_ leaf: any LeafOperator) -> JSON { .object([type(of: leaf).key: leaf.json]) }

    private static func compile(_ condition: Condition, into leaves: inout [any LeafOperator]) -> Node {
        switch condition.kind {
        case .leaf(let leaf):
            leaves.append(leaf)
            return .leaf(leaves.count - 1)
        case .group(let group):
            var nodes: [Node] = []
            for part in group.conditions { nodes.append(compile(part, into: &leaves)) }
            return .group(group, key: type(of: group).key, nodes)
        }
    }

    /// Whether the rule holds at an instant.
    package func holds(_ memories: Memories, at instant: Instant, in surroundings: Surroundings = .none)
        -> Bool
    {
        holds(root, memories, at: instant, in: surroundings)
    }

    private func holds(
        _ node: Node, _ memories: Memories, at instant: Instant, in surroundings: Surroundings
    ) -> Bool {
        switch node {
        case .leaf(let index):
            guard refers, let reference = leaves[index] as? any ReferenceOperator else {
                return leaves[index].holds(memories[index], at: instant)
            }
            return reference.holds(in: surroundings, at: instant)
        case .group(let group, _, let nodes):
            // What the first conditions settle needs no more of them.
            let settles = group.settles
            for node in nodes where holds(node, memories, at: instant, in: surroundings) == settles.truth {
                return settles.whole
            }
            return !settles.whole
        }
    }

    /// The next instant at which the rule's truth differs from `member` if nothing happens.
    ///
    /// A rule that keeps its truth over very many changes of its conditions names an instant before that, at which
    /// nothing changes and the search goes on: one decision stays short.
    package func nextChange(
        _ memories: Memories, from member: Bool, after instant: Instant, in surroundings: Surroundings = .none
    ) -> Instant? {
        var at = instant
        for _ in 0..<Self.lookAhead {
            guard let next = nextInstant(memories, after: at, in: surroundings) else { return nil }
            at = next
            if holds(memories, at: at, in: surroundings) != member { return at }
        }
        return at
    }

    /// The next instant at which one of its conditions may change if nothing happens.
    func nextInstant(_ memories: Memories, after instant: Instant, in surroundings: Surroundings) -> Instant?
    {
        var next = Instant.distantFuture
        for (index, leaf) in leaves.enumerated() {
            guard let change = change(of: leaf, memories[index], after: instant, in: surroundings),
                change > instant
            else {
                continue
            }
            next = min(next, change)
        }
        return next < .distantFuture ? next : nil
    }

    private func change(
        of leaf: any LeafOperator, _ memory: Memory, after instant: Instant, in surroundings: Surroundings
    ) -> Instant? {
        guard refers, let reference = leaf as? any ReferenceOperator else {
            return leaf.nextChange(memory, after: instant)
        }
        return reference.nextChange(in: surroundings, after: instant)
    }

    private static let lookAhead = 256

    /// Why the rule holds or does not, at an instant.
    package func explain(
        _ memories: Memories, at instant: Instant, in surroundings: Surroundings = .none
    ) -> Explanation {
        explain(root, memories, at: instant, in: surroundings)
    }

    private func explain(
        _ node: Node, _ memories: Memories, at instant: Instant, in surroundings: Surroundings
    ) -> Explanation {
        switch node {
        case .leaf(let index):
            guard let reference = leaves[index] as? any ReferenceOperator else {
                return leaves[index].explain(memories[index], at: instant)
            }
            return reference.explain(in: surroundings, at: instant)
        case .group(let group, let key, let nodes):
            let parts = nodes.map { explain($0, memories, at: instant, in: surroundings) }
            return Explanation(
                condition: .string(key), holds: group.combine(parts.map(\.holds)),
                text: group.text(parts.map(\.text)), parts: parts)
        }
    }
}
