/// Finds loops on which nothing waits: an instance would run round them for ever in one instant.
struct LoopCheck {
    private let program: JourneyProgram

    init(_ program: JourneyProgram) { self.program = program }

    /// Reports the loops, one mistake for each step that closes one.
    func report(to log: MistakeLog) {
        var finished: Set<String> = []
        for root in program.steps.keys.sorted() where !finished.contains(root) {
            walk(from: root, &finished, log)
        }
    }

    private func walk(from root: String, _ finished: inout Set<String>, _ log: MistakeLog) {
        var trail: [(name: String, ahead: [String])] = [(root, successors(of: root))]
        while let (name, ahead) = trail.last {
            guard let next = ahead.last else {
                finished.insert(name)
                trail.removeLast()
                continue
            }
            trail[trail.count - 1].ahead.removeLast()
            if let start = trail.firstIndex(where: { $0.name == next }) {
                report(trail[start...].map(\.name), closedBy: name, log)
            } else if !finished.contains(next) {
                trail.append((next, successors(of: next)))
            }
        }
    }

    /// A wait stands still, so no way through it is endless.
    private func successors(of name: String) -> [String] {
        guard let placed = program.steps[name], !placed.step.waits else { return [] }
        return placed.step.targets(next: placed.next)
    }

    private func report(_ loop: [String], closedBy name: String, _ log: MistakeLog) {
        // The author wrote the loop where a step jumps, so that is the line to show.
        let jump = loop.first { program.steps[$0]?.step is GotoStep } ?? name
        guard let mark = program.steps[jump]?.mark else { return }
        let way = (loop + loop.prefix(1)).joined(separator: " → ")
        log.report(at: mark, jump, expected: "a `wait` on every loop", found: "the loop \(way) without one")
    }
}
