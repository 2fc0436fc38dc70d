package import Models

/// A condition made ready for deciding: its leaves in order, each with its own memory, and how they combine.
package final class Rule: Sendable {
    package let condition: Condition
    package let leaves: [any LeafOperator]
    /// Whether it looks at anything besides its own memories.
    let refers: Bool
    /// What its leaves are known by; nil for those that remember nothing.
    let keys: [ConditionKey?]
    /// The condition's parts, each before those that it is made of.
    private let nodes: [Node]

    private struct Node: Sendable {
        enum Kind: Sendable {
            case leaf(Int)
            /// See `GroupOperator.settles`.
            case group(truth: Bool, whole: Bool)
        }

        let kind: Kind
        /// Where the next part begins that is no part of this one.
        var end: Int
    }

    package init(_ condition: Condition) {
        self.condition = condition
        var leaves: [any LeafOperator] = []
        var nodes: [Node] = []
        Self.compile(condition, into: &nodes, &leaves)
        self.leaves = leaves
        self.nodes = nodes
        refers = leaves.contains { $0 is any ReferenceOperator }
        keys = leaves.map { $0 is any ReferenceOperator ? nil : ConditionKey(Self.written($0)) }
    }

    private static func written(_ leaf: any LeafOperator) -> JSON { .object([type(of: leaf).key: leaf.json]) }

    private static func compile(
        _ condition: Condition, into nodes: inout [Node], _ leaves: inout [any LeafOperator]
    ) {
        let place = nodes.count
        switch condition.kind {
        case .leaf(let leaf):
            nodes.append(Node(kind: .leaf(leaves.count), end: 0))
            leaves.append(leaf)
        case .group(let group):
            let (truth, whole) = group.settles
            nodes.append(Node(kind: .group(truth: truth, whole: whole), end: 0))
            for part in group.conditions { compile(part, into: &nodes, &leaves) }
        }
        nodes[place].end = nodes.count
    }

    /// Whether the rule holds at an instant.
    package func holds(_ memories: Memories, at instant: Instant, in surroundings: Surroundings = .none)
        -> Bool
    {
        holds(0, memories, at: instant, in: surroundings)
    }

    private func holds(
        _ place: Int, _ memories: Memories, at instant: Instant, in surroundings: Surroundings
    ) -> Bool {
        switch nodes[place].kind {
        case .leaf(let index):
            guard refers, let reference = leaves[index] as? any ReferenceOperator else {
                return leaves[index].holds(memories[index], at: instant)
            }
            return reference.holds(in: surroundings, at: instant)
        case .group(let truth, let whole):
            // What the first conditions settle needs no more of them.
            var part = place + 1
            while part < nodes[place].end {
                if holds(part, memories, at: instant, in: surroundings) == truth { return whole }
                part = nodes[part].end
            }
            return !whole
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
        var leaf = 0
        return explain(condition, &leaf, memories, at: instant, in: surroundings)
    }

    private func explain(
        _ condition: Condition, _ leaf: inout Int, _ memories: Memories, at instant: Instant,
        in surroundings: Surroundings
    ) -> Explanation {
        switch condition.kind {
        case .leaf(let condition):
            defer { leaf += 1 }
            guard let reference = condition as? any ReferenceOperator else {
                // What has left the window makes no difference, forgotten or not.
                let cut = memories[leaf].cut.flatMap {
                    condition.lookback.contains($0.at, at: instant) ? $0 : nil
                }
                return condition.explain(memories[leaf], at: instant).with(cut)
            }
            return reference.explain(in: surroundings, at: instant)
        case .group(let group):
            var parts: [Explanation] = []
            for part in group.conditions {
                parts.append(explain(part, &leaf, memories, at: instant, in: surroundings))
            }
            return Explanation(
                condition: .string(type(of: group).key), holds: group.combine(parts.map(\.holds)),
                text: group.text(parts.map(\.text)), parts: parts)
        }
    }
}
