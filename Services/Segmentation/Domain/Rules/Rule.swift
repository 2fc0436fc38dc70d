package import Models

/// A condition made ready for deciding: its leaves in order, each with its own memory, and how they combine.
package struct Rule: Sendable {
    package let condition: Condition
    package let leaves: [any LeafOperator]
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
    }

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

    /// The memories of a profile that has done nothing.
    package var emptyMemories: [Memory] { Array(repeating: Memory(), count: leaves.count) }

    /// Whether the rule holds at an instant.
    package func holds(_ memories: [Memory], at instant: Instant) -> Bool {
        holds(root, memories, at: instant)
    }

    private func holds(_ node: Node, _ memories: [Memory], at instant: Instant) -> Bool {
        switch node {
        case .leaf(let index): leaves[index].holds(memories[index], at: instant)
        case .group(let group, _, let nodes): group.combine(nodes.map { holds($0, memories, at: instant) })
        }
    }

    /// The next instant at which the rule's truth differs from `member` if nothing happens.
    ///
    /// A rule that keeps its truth over very many changes of its conditions names an instant before that, at which
    /// nothing changes and the search goes on: one decision stays short.
    package func nextChange(_ memories: [Memory], from member: Bool, after instant: Instant) -> Instant? {
        var at = instant
        for _ in 0..<Self.lookAhead {
            var next: Instant?
            for (leaf, memory) in zip(leaves, memories) {
                guard let change = leaf.nextChange(memory, after: at), change > at else { continue }
                if next.map({ change < $0 }) ?? true { next = change }
            }
            guard let next, next < .distantFuture else { return nil }
            at = next
            if holds(memories, at: at) != member { return at }
        }
        return at
    }

    private static let lookAhead = 256

    /// Why the rule holds or does not, at an instant.
    package func explain(_ memories: [Memory], at instant: Instant) -> Explanation {
        explain(root, memories, at: instant)
    }

    private func explain(_ node: Node, _ memories: [Memory], at instant: Instant) -> Explanation {
        switch node {
        case .leaf(let index):
            return leaves[index].explain(memories[index], at: instant)
        case .group(let group, let key, let nodes):
            let parts = nodes.map { explain($0, memories, at: instant) }
            return Explanation(
                condition: .string(key), holds: group.combine(parts.map(\.holds)),
                text: group.text(parts.map(\.text)), parts: parts)
        }
    }
}
