package import Models

/// How a sequence is read and written.
extension EventSequence {
    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(Window.keys + ["steps"])
        window = try Window(in: field)
        let list = try field.required("steps", "a list of steps").elements(
            2...RuleLimits.sequenceSteps, of: "steps")
        let last = list[list.count - 1]
        end = last.optional("not") == nil ? nil : try Self.end(last)
        if let end, let longest = window.longest, longest <= end.within {
            throw RuleProblem(
                field.path.appending("within"), expected: "longer than the last step's (\(end.within.text))")
        }
        (first, least, time) = try Self.first(list[0])
        var steps: [Step] = []
        for step in list.dropFirst().dropLast(end == nil ? 0 : 1) { steps.append(try Self.step(step)) }
        self.steps = steps
        selectors =
            [first] + steps.map(\.events) + steps.compactMap(\.without) + (end.map { [$0.events] } ?? [])
        isTimed = selectors.contains { $0.isTimed }
    }

    private static func first(_ field: RuleField) throws(RuleProblem) -> (EventSelector, Int, Duration?) {
        try field.allow(EventSelector.keys + ["atLeast", "in"])
        let least = try field.optional("atLeast")?.count(1...100) ?? 1
        let time = field.optional("in")
        if let time, least == 1 { throw time.problem("together with \"atLeast\" of 2 or more only") }
        return (try EventSelector(field), least, try time?.window())
    }

    private static func step(_ field: RuleField) throws(RuleProblem) -> Step {
        try field.allow(EventSelector.keys + ["within", "without"])
        return Step(
            events: try EventSelector(field), within: try field.optional("within")?.window(),
            without: try field.optional("without").map { field throws(RuleProblem) in
                try field.allow(EventSelector.keys)
                return try EventSelector(field)
            })
    }

    private static func end(_ field: RuleField) throws(RuleProblem) -> End {
        try field.allow(["not", "within"])
        let not = try field.required("not", "an object with \"event\"")
        try not.allow(EventSelector.keys)
        return End(
            events: try EventSelector(not),
            within: try field.required("within", "how long it must not happen, such as \"24h\"").window())
    }

    package var json: JSON {
        var head = first.members
        if least > 1 { head["atLeast"] = .integer(Int64(least)) }
        head["in"] = time.map { .string($0.text) }
        var list: [JSON] = [.object(head)]
        for step in steps {
            var members = step.events.members
            members["within"] = step.within.map { .string($0.text) }
            members["without"] = step.without.map { .object($0.members) }
            list.append(.object(members))
        }
        if let end { list.append(["not": .object(end.events.members), "within": .string(end.within.text)]) }
        return .object(window.members.merging(["steps": .array(list)]) { $1 })
    }

    package var text: String {
        var text = "did \(first.name)"
        if least > 1 { text += " at least \(least) times" + (time.map { " in \($0.words)" } ?? "") }
        text += first.filterText
        for step in steps {
            text += " then did \(step.events.name)" + (step.within.map { " within \($0.words)" } ?? "")
            text += step.events.filterText + (step.without.map { " without \($0.text)" } ?? "")
        }
        if let end {
            text += " and not did \(end.events.name) within \(end.within.words) after\(end.events.filterText)"
        }
        return window == .ever ? text : "\(text) all\(window.text)"
    }
}
