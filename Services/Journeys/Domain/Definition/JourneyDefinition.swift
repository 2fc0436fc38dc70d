import Models

/// One version of a journey, checked: who enters, what ends it at once, and the steps between.
package struct JourneyDefinition: Sendable {
    package let id: String
    package let name: String
    package let entry: EntryRule
    package let exits: [ExitRule]
    package let program: JourneyProgram
    /// The version that this text was stored as; instances that started with it stay with it.
    package let version: Int

    /// The names of the track events that can make a difference to this journey.
    package let eventNames: Set<String>
    /// The events whose last occurrence must be remembered, because the journey asks whether they happened
    /// since entry.
    package let rememberedEvents: [EventPattern]
    /// Whether a branch asks for a trait.
    package let asksTraits: Bool
    /// Whether segments let somebody in or out, or a branch asks for one.
    package let asksSegments: Bool

    package init(
        id: String, name: String, version: Int, entry: EntryRule, exits: [ExitRule], program: JourneyProgram
    ) {
        self.id = id
        self.name = name
        self.version = version
        self.entry = entry
        self.exits = exits
        self.program = program
        let questions = program.steps.values.map(\.step.questions)
        let exitEvents = exits.compactMap(\.event)
        rememberedEvents = Array(Set(exitEvents + questions.flatMap(\.happened))).sorted { $0.key < $1.key }
        asksTraits = questions.contains(where: \.traits)
        asksSegments =
            entry.trigger.segment != nil || exits.contains { $0.segment != nil }
            || questions.contains(where: \.segments)
        eventNames = Set(
            (exitEvents + questions.flatMap { $0.happened + $0.awaited }).map(\.event)
                + [entry.trigger.event?.event].compactMap { $0 })
    }
}

/// Whether a journey runs.
package enum JourneyStatus: String, CaseIterable, Sendable {
    /// Nobody enters, nothing is recorded.
    case draft
    case active
    /// Nobody enters, and those inside stand still: timers wait, only the exits act.
    case paused
}

/// A journey's file: the definition, and the status that the author wants it to have.
package struct JourneyDocument: Sendable {
    package let definition: JourneyDefinition
    package let status: JourneyStatus

    /// Ids of journeys, and labels of steps: short, lower case, safe in a path.
    package static func isName(_ text: String) -> Bool {
        guard (1...64).contains(text.utf8.count), text.first != "-", text.last != "-" else { return false }
        return text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
    }

    /// Reads the document for the journey `id`, or says everything that is wrong with it.
    package static func read(
        _ node: DefinitionNode, id: String, version: Int
    ) throws(InvalidJourney) -> JourneyDocument {
        let log = MistakeLog()
        let document = read(node, id: id, version: version, log)
        guard let document, log.mistakes.isEmpty else {
            throw InvalidJourney(
                mistakes: log.mistakes.sorted {
                    ($0.mark.line, $0.mark.column) < ($1.mark.line, $1.mark.column)
                })
        }
        return document
    }

    private static func read(
        _ node: DefinitionNode, id: String, version: Int, _ log: MistakeLog
    ) -> JourneyDocument? {
        guard let fitting = DefinitionLimits.check(node, log),
            var reader = ObjectReader(
                fitting, "", log, expected: "a journey: an object with `entry` and `steps`")
        else { return nil }
        if let written = reader.optional("id"), written.value != .string(id) {
            log.report(written, "id", expected: "“\(id)”, the id in the address, or no `id`")
        }
        let name = reader.optionalString("name", expected: "a text") ?? id
        _ = reader.optionalString("description", expected: "a text")
        let status = status(&reader)
        let entryNode = reader.required("entry", expected: "who enters: `event: …` or `segment: …`")
        let entry = entryNode.flatMap { EntryRule($0, "entry", log) }
        let exits =
            (reader.optionalList("exits", expected: "a list of `event: …` or `segmentExited: …`") ?? [])
            .compactMap { ExitRule($0, $1, log) }
        let stepsNode = reader.required("steps", expected: "a list of steps")
        reader.finish()
        guard let stepsNode else { return nil }
        let program = ProgramBuilder.build(stepsNode, log)
        guard let entry, let program else { return nil }
        return JourneyDocument(
            definition: JourneyDefinition(
                id: id, name: name, version: version, entry: entry, exits: exits, program: program),
            status: status)
    }

    private static func status(_ reader: inout ObjectReader) -> JourneyStatus {
        guard let node = reader.optional("status") else { return .draft }
        guard let status = node.json.string.flatMap(JourneyStatus.init) else {
            reader.log.report(node, "status", expected: "draft, active or paused")
            return .draft
        }
        return status
    }
}

/// A definition that is refused, with all its mistakes in the order of the text.
package struct InvalidJourney: Error, Sendable {
    package let mistakes: [DefinitionMistake]

    package init(mistakes: [DefinitionMistake]) { self.mistakes = mistakes }
}

/// What bounds a definition, whoever writes it.
package enum DefinitionLimits {
    package static let depth = 32
    package static let nodes = 20_000
    package static let steps = 500

    /// The node itself, or nil and a mistake when it is too deep or too large.
    static func check(_ node: DefinitionNode, _ log: MistakeLog) -> DefinitionNode? {
        var left = nodes
        var level = [node]
        var depth = 0
        while !level.isEmpty {
            depth += 1
            left -= level.count
            guard left >= 0, depth <= Self.depth else {
                log.report(
                    level[0], "", expected: "at most \(nodes) values, nested at most \(Self.depth) deep",
                    found: "more")
                return nil
            }
            level = level.flatMap { node -> [DefinitionNode] in
                switch node.value {
                case .array(let elements): elements
                case .object(let members): members.map(\.value)
                default: []
                }
            }
        }
        return node
    }
}
