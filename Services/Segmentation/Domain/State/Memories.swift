/// What the conditions of one rule remember, by their places in the rule.
package struct Memories: Sendable {
    private let held: [ProfileState.HeldMemory]
    /// For each condition its slot; less than none for one that remembers nothing itself.
    private let slots: [Int]

    init(_ state: ProfileState, slots: [Int]) {
        held = state.memories
        self.slots = slots
    }

    /// What these conditions of a state remember, and nothing else of it.
    static func own(_ state: ProfileState, slots: [Int]) -> Memories {
        Memories(
            held: slots.filter { $0 >= 0 }.sorted().map {
                ProfileState.HeldMemory(slot: $0, memory: state.memory($0))
            }, slots: slots)
    }

    private init(held: [ProfileState.HeldMemory], slots: [Int]) {
        self.held = held
        self.slots = slots
    }

    subscript(leaf: Int) -> Memory {
        let slot = slots[leaf]
        var low = 0
        var high = held.count
        while low < high {
            let middle = (low + high) / 2
            if held[middle].slot < slot { low = middle + 1 } else { high = middle }
        }
        return low < held.count && held[low].slot == slot ? held[low].memory : Memory()
    }
}
