/// Unfolds the nested lists of steps of a definition into a program, and checks that labels exist and that
/// every way round a loop waits.
package struct ProgramBuilder {
    private struct Reference {
        var label: String
        var mark: SourceMark
        var path: String
    }

    package let log: MistakeLog
    private var steps: [String: JourneyProgram.Placed] = [:]
    private var references: [Reference] = []

    /// The program of a list of steps, or nil and mistakes.
    package static func build(_ node: DefinitionNode, _ log: MistakeLog) -> JourneyProgram? {
        var builder = ProgramBuilder(log: log)
        let before = log.mistakes.count
        let start = builder.block(node, path: "steps", prefix: "", following: nil)
        for reference in builder.references where builder.steps[reference.label] == nil {
            log.report(
                at: reference.mark, reference.path, expected: "the label of a step",
                found: "“\(reference.label)”, which no step has")
        }
        guard log.mistakes.count == before else { return nil }
        let program = JourneyProgram(start: start, steps: builder.steps)
        LoopCheck(program).report(to: log)
        return log.mistakes.count == before ? program : nil
    }

    private init(log: MistakeLog) { self.log = log }

    /// Places a list of steps, the last of which leads to `following`. Returns the name of the first one.
    package mutating func block(
        _ node: DefinitionNode, path: String, prefix: String, following: String?
    ) -> String? {
        guard case .array(let nodes) = node.value else {
            log.report(node, path, expected: "a list of steps")
            return following
        }
        // Backwards, because every step needs the name of the one after it.
        var next = following
        for (index, node) in nodes.enumerated().reversed() {
            next =
                place(node, path: "\(path).\(index)", prefix: prefix, position: index + 1, next: next) ?? next
        }
        return next
    }

    /// Notes that a step leads to a label, which may be written further up or down.
    package mutating func refer(to label: String, at mark: SourceMark, path: String) {
        references.append(Reference(label: label, mark: mark, path: path))
    }

    private mutating func place(
        _ node: DefinitionNode, path: String, prefix: String, position: Int, next: String?
    ) -> String? {
        let keywords = JourneySteps.keywords.map { "`\($0)`" }.joined(separator: ", ")
        guard case .object(let members) = node.value else {
            log.report(node, path, expected: "a step, an object with one of \(keywords)")
            return nil
        }
        let kinds = members.filter { $0.key != "label" }
        guard let kind = kinds.first, kinds.count == 1 else {
            let extra = kinds.dropFirst().first
            log.report(
                at: extra?.keyMark ?? node.mark, path,
                expected: "one step per list entry, one of \(keywords)",
                found: kinds.isEmpty ? "none" : "`\(extra?.key ?? "")` beside `\(kinds[0].key)`")
            return nil
        }
        guard let type = JourneySteps.type(for: kind.key) else {
            log.report(
                at: kind.keyMark, ObjectReader.join(path, kind.key), expected: "a step: one of \(keywords)",
                found: "`\(kind.key)`")
            return nil
        }
        guard let name = name(members, keyword: kind.key, path: path, prefix: prefix, position: position)
        else {
            return nil
        }
        guard steps.count < DefinitionLimits.steps else {
            log.report(node, path, expected: "at most \(DefinitionLimits.steps) steps", found: "more")
            return nil
        }
        let site = StepSite(name: name, path: ObjectReader.join(path, kind.key), next: next)
        guard let step = type.init(kind.value, site, &self) else { return nil }
        guard steps[name] == nil else {
            log.report(node, path, expected: "names of steps that differ", found: "a second “\(name)”")
            return nil
        }
        steps[name] = JourneyProgram.Placed(name: name, step: step, next: next, mark: node.mark)
        return name
    }

    /// The label if there is one; else a name made of the kind and the place.
    private func name(
        _ members: [DefinitionNode.Member], keyword: String, path: String, prefix: String, position: Int
    ) -> String? {
        guard let label = members.first(where: { $0.key == "label" }) else {
            return "\(prefix)\(keyword)-\(position)"
        }
        guard case .string(let text) = label.value.value, JourneyDocument.isName(text) else {
            log.report(
                label.value, ObjectReader.join(path, "label"),
                expected: "a label of lower-case letters, digits and hyphens")
            return nil
        }
        return text
    }
}

/// Where a step stands while it is read.
package struct StepSite {
    /// The name under which it will be placed, which begins the names of steps nested in it.
    package let name: String
    package let path: String
    /// What follows it.
    package let next: String?
}
