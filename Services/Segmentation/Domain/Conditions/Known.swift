package import Models

/// That somebody is known by an identifier of a type: `{"identifier": {"type": "email"}}`.
///
/// It holds from the first event on that carried one, at the places where the standard identity policy looks:
/// `userId`, `anonymousId`, the trait `email` or `phone` (of the event or its context), `context.device.id` for
/// `deviceId`, and `context.externalIds` for the types of other systems. Whether the identity policy took it to tell
/// people apart makes no difference.
package struct Known: LeafOperator {
    package static let key = "identifier"

    package let type: String

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["type"])
        let expected = "a type of identifiers such as \"userId\", \"email\" or \"phone\""
        let written = try field.required("type", expected)
        guard let kind = written.json.string.flatMap({ Identifier.Kind(rawValue: $0) }) else {
            throw written.problem(expected)
        }
        type = kind.rawValue
    }

    package var keeps: String? { nil }
    package var interest: Interest { .identifier(type) }

    /// The types of the identifiers that an event carries.
    static func types(in event: TrackingEvent) -> Set<String> {
        var types: Set<String> = []
        func note(_ kind: Identifier.Kind, _ value: JSON?) {
            guard let value, let text = value.string ?? value.integer.map({ String($0) }) else { return }
            if Identifier(kind, text) != nil { types.insert(kind.rawValue) }
        }
        note(.userID, event.userID.map { .string($0) })
        note(.anonymousID, event.anonymousID.map { .string($0) })
        for traits in [event.traits, event.context["traits"]?.object ?? [:]] {
            note(.email, traits["email"])
            note(.phone, traits["phone"])
        }
        if let device = Identifier.Kind(rawValue: "deviceId") { note(device, event.context["device"]?["id"]) }
        types.formUnion(Identifier.external(in: event.context).map(\.kind.rawValue))
        return types
    }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        let occurrence = Occurrence(event, at: instant)
        if let first = memory.occurrences.first, first <= occurrence { return false }
        guard Self.types(in: event).contains(type) else { return false }
        memory.occurrences = [occurrence]
        return true
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { !memory.occurrences.isEmpty }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? { nil }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: memory.occurrences
        )
        .with(
            Finding(
                text: memory.occurrences.first.map { "since \($0.at.rfc3339)" } ?? "no event carried one"))
    }

    package var text: String { "has identifier \(RuleWords.name(type))" }

    package var json: JSON { ["type": .string(type)] }
}
