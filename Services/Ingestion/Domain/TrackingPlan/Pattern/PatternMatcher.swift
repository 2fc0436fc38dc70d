/// Advances all states of an expression together, one scalar at a time.
struct PatternMatcher {
    private let program: [PatternInstruction]
    /// The states that wait for a scalar.
    private var waiting: [Int] = []
    /// In which round a state was last entered, so that it is entered once a round.
    private var entered: [Int]
    private var open: [Int] = []
    private var round = 0

    init(_ program: [PatternInstruction]) {
        self.program = program
        entered = Array(repeating: 0, count: program.count)
    }

    /// Whether the expression matches somewhere in the text. Each entering of a state is a step; where they run out,
    /// what is left falls below 0, and the answer means nothing.
    mutating func matches(_ text: String, stepsLeft: inout Int) -> Bool {
        var scalars = text.unicodeScalars.makeIterator()
        var upcoming = scalars.next()
        var isStart = true
        var taken: [Int] = []
        let startsAtStart = if case .start = program[0] { true } else { false }
        while true {
            round += 1
            waiting.removeAll(keepingCapacity: true)
            for state in taken where enter(state, isStart, upcoming == nil, &stepsLeft) { return true }
            // A match may begin at every scalar.
            if isStart || !startsAtStart, enter(0, isStart, upcoming == nil, &stepsLeft) { return true }
            guard let scalar = upcoming, stepsLeft >= 0, !(startsAtStart && waiting.isEmpty) else {
                return false
            }
            taken.removeAll(keepingCapacity: true)
            for state in waiting {
                if case .take(let set) = program[state], set.contains(scalar) { taken.append(state + 1) }
            }
            upcoming = scalars.next()
            isStart = false
        }
    }

    /// Enters a state and those that follow without a scalar; true when the whole expression has matched.
    private mutating func enter(
        _ state: Int, _ isStart: Bool, _ isEnd: Bool, _ stepsLeft: inout Int
    ) -> Bool {
        open.append(state)
        while let state = open.popLast() {
            guard entered[state] != round else { continue }
            entered[state] = round
            stepsLeft -= 1
            switch program[state] {
            case .take: waiting.append(state)
            case .jump(let target): open.append(target)
            case .fork(let first, let second):
                open.append(second)
                open.append(first)
            case .start: if isStart { open.append(state + 1) }
            case .end: if isEnd { open.append(state + 1) }
            case .match:
                open.removeAll()
                return true
            }
        }
        return false
    }
}
