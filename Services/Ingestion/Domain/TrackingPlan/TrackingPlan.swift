package import Models

/// What a source may send, event by event:
/// `{"mode": "quarantine", "unplanned": "allow", "events": {"Order Completed": {…}}, "identify": {…}}`.
///
/// The schemas of `events` are about the properties of track calls; those of `identify` and `group` about traits;
/// those of `page` and `screen` about properties. Alias calls carry nothing that could be planned.
package struct TrackingPlan: Hashable, Sendable {
    /// What becomes of an event that isn't as its schema says.
    package enum Mode: String, CaseIterable, Sendable {
        /// It is kept as it is, and what is wrong is reported.
        case allow
        /// It goes into quarantine.
        case quarantine
        /// Properties that violate the schema are removed; where that doesn't help, it goes into quarantine.
        case dropProperty = "drop-property"
    }

    /// What becomes of a track call whose name the plan doesn't have.
    package enum Unplanned: String, CaseIterable, Sendable {
        case allow, quarantine
    }

    package let mode: Mode
    package let unplanned: Unplanned
    /// The schemas of properties by the name of the event.
    package let events: [String: JSONSchema]
    /// The schemas of calls other than track.
    package let calls: [TrackingEvent.Kind: JSONSchema]

    /// Calls other than track that a plan may have a schema for.
    static let plannedCalls: [TrackingEvent.Kind] = [.identify, .group, .page, .screen]
    private static let eventLimit = 1000
    private static let nameBytes = 1024
    private static let subschemaLimit = 20_000

    /// Reads a plan. All mistakes are reported, each with its place.
    package init(json: JSON) throws(InvalidSchema) {
        var reader = PlanReader()
        guard let members = json.object else {
            throw InvalidSchema([SchemaMistake(JSONPointer(), expected: "an object")])
        }
        let known = ["mode", "unplanned", "events"] + Self.plannedCalls.map(\.rawValue)
        for key in members.keys.sorted() where !known.contains(key) {
            reader.mistake([key], "one of \(known.joined(separator: ", "))")
        }
        let mode = reader.choice(members["mode"], "mode", or: nil, as: Mode.self)
        unplanned = reader.choice(members["unplanned"], "unplanned", or: .allow) ?? .allow
        var events: [String: JSONSchema] = [:]
        if let json = members["events"] {
            let named = json.object ?? [:]
            if json.object == nil || named.count > Self.eventLimit {
                reader.mistake(
                    ["events"], "an object of at most \(Self.eventLimit) schemas by name of the event")
            }
            for name in named.keys.sorted(by: { $0.precedesInUTF8($1) }).prefix(Self.eventLimit) {
                guard let schema = named[name] else { continue }
                if name.isEmpty || name.utf8.count > Self.nameBytes {
                    reader.mistake(["events", name], "a name of 1 to \(Self.nameBytes) bytes")
                }
                events[name] = reader.schema(schema, ["events", name])
            }
        }
        var calls: [TrackingEvent.Kind: JSONSchema] = [:]
        for kind in Self.plannedCalls {
            guard let json = members[kind.rawValue] else { continue }
            calls[kind] = reader.schema(json, [kind.rawValue])
        }
        if reader.subschemas > Self.subschemaLimit {
            reader.mistake([], "at most \(Self.subschemaLimit) subschemas in all")
        }
        guard reader.mistakes.isEmpty, let mode else { throw InvalidSchema(reader.mistakes) }
        self.mode = mode
        self.events = events
        self.calls = calls
    }

    /// The plan as it can be read again; what it leaves to defaults is written out.
    package var json: JSON {
        var members: [String: JSON] = [
            "mode": .string(mode.rawValue), "unplanned": .string(unplanned.rawValue),
            "events": .object(events.mapValues(\.json)),
        ]
        for (kind, schema) in calls { members[kind.rawValue] = schema.json }
        return .object(members)
    }

    /// The schema that an event has to conform to, if there is one.
    package func schema(for event: TrackingEvent) -> JSONSchema? {
        event.kind == .track ? event.name.flatMap { events[$0] } : calls[event.kind]
    }
}

/// Collects the mistakes of a plan.
private struct PlanReader {
    private(set) var mistakes: [SchemaMistake] = []
    private(set) var subschemas = 0

    mutating func mistake(_ tokens: [String], _ expected: String) {
        guard mistakes.count < SchemaLimits.mistakes else { return }
        mistakes.append(SchemaMistake(JSONPointer(tokens), expected: expected))
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ json: JSON?, _ key: String, or standard: Choice?, as type: Choice.Type = Choice.self
    ) -> Choice? where Choice.RawValue == String {
        if json == nil, let standard { return standard }
        if let choice = json?.string.flatMap(Choice.init(rawValue:)) { return choice }
        mistake([key], "one of \(Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
        return nil
    }

    mutating func schema(_ json: JSON, _ tokens: [String]) -> JSONSchema? {
        do {
            let schema = try JSONSchema(json)
            subschemas += schema.nodes.count
            return schema
        } catch {
            for found in error.mistakes { mistake(tokens + found.pointer.tokens, found.expected) }
            return nil
        }
    }
}
