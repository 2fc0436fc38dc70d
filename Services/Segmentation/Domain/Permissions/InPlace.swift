import ConsentDomain
package import Models

/// That somebody is where a purpose may be pursued, as far as their trait `country` says where they are. Where that isn't
/// known it does not hold.
package struct InPlace: LeafOperator {
    package static let key = "place"
    static let trait = "country"

    /// What is asked of the place alone.
    private let purpose: Purpose

    init(_ need: Permitted.Need) {
        var purpose = Purpose(id: need.purpose, name: "", legalBasis: .contract, textVersion: "")
        purpose.jurisdictions = need.places
        self.purpose = purpose
    }

    package var keeps: String? { nil }
    package var interest: Interest { .trait(Self.trait) }

    private var reading: TraitReading { TraitReading(path: PropertyPath(ofTrait: Self.trait)) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        var event = event
        // Whatever is no text names no place; of a list it mustn't be one that stands in it.
        if event.traits[Self.trait].map({ $0.string == nil }) ?? false { event.traits[Self.trait] = .null }
        return reading.remember(event, at: instant, in: &memory)
    }

    private func place(_ memory: Memory) -> Jurisdiction? {
        let values = reading.values(memory)
        return values.count == 1 ? values[0].string.flatMap { Jurisdiction(loosely: $0) } : nil
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        purpose.denial(nil, ConsentUse(jurisdiction: place(memory)), now: instant) == nil
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? { nil }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let place = place(memory)
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: reading.source(memory),
            details: ["country": place.map { .string($0.code) } ?? .null]
        )
        .with(Finding(text: place.map { "they are in \($0.code)" } ?? "where they are is not known"))
    }

    package var text: String {
        "\(JSON.string(purpose.id).compact) in \(purpose.jurisdictions.map(\.code).joined(separator: ", "))"
    }

    package var json: JSON {
        ["purpose": .string(purpose.id), "in": .array(purpose.jurisdictions.map { .string($0.code) })]
    }
}
