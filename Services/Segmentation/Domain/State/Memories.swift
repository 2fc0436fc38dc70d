/// What the conditions of one rule remember, by their places in the rule.
package struct Memories: Sendable {
    private let held: [ProfileState.HeldMemory]
    /// For each condition its slot; less than none for one that remembers nothing itself.
    private let slots: [Int]

    init(_ state: ProfileState, slots: [Int]) {
        held = state.memories
        self.slots = slots
    }

    /// What a rule's conditions remember, whose slots are `own` in ascending order, and nothing else of the state.
    init(own: [Int], of state: ProfileState, slots: [Int]) {
        held = own.map { ProfileState.HeldMemory(slot: $0, memory: state.memory($0)) }
        self.slots = slots
    }

    subscript(leaf: Int) -> Memory {
        _read {
            let slot = slots[leaf]
            var low = 0
            var high = held.count
            while low < high {
                let middle = (low + high) / 2
                if held[middle].slot < slot { low = middle + 1 } else { high = middle }
            }
            if low < held.count, held[low].slot == slot { yield held[low].memory } else { yield.empty }
        }
    }
}
