package import Models

/// What somebody has decided about a purpose: `{"consent": {"purpose": "marketing", "is": "granted"}}`, or `withdrawn`, or
/// `unknown` where they never said anything.
///
/// The latest decision counts, by the time at which it was made; of two at one instant the withdrawal. A decision takes
/// effect when it was made, but not later than it was recorded.
package struct ConsentState: LeafOperator {
    package static let key = "consent"

    /// What can be asked for.
    enum State: String, CaseIterable {
        case granted, withdrawn, unknown
    }

    package let purpose: String
    let state: State

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["purpose", "is"])
        purpose = try field.required("purpose", "the id of a purpose").text("the id of a purpose")
        let expected = State.allCases.map(\.rawValue).joined(separator: ", ")
        let asked = try field.required("is", "one of \(expected)")
        guard let state = asked.json.string.flatMap({ State(rawValue: $0) }) else {
            throw asked.problem("one of \(expected)")
        }
        self.state = state
    }

    package var keeps: String? { nil }
    package var interest: Interest { .consent(purpose) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        Self.remember(event, of: purpose, at: instant, in: &memory)
    }

    /// Takes in what is said of a purpose, if that stands against what was said before.
    static func remember(
        _ event: TrackingEvent, of purpose: String, at instant: Instant, in memory: inout Memory
    ) -> Bool {
        guard let consent = event.consent, consent.purpose == purpose else { return false }
        let stamp = EffectiveTraits.Stamp(at: instant, messageID: consent.ledgerEntry)
        if let held = memory.trait {
            let known = state(held)
            guard
                held.stamp.at != instant
                    ? held.stamp.at < instant
                    : known != consent.state ? consent.state == .withdrawn : held.stamp < stamp
            else { return false }
        }
        memory.trait = EffectiveTraits.Entry(value: .string(consent.state.rawValue), stamp: stamp)
        return true
    }

    static func state(_ held: EffectiveTraits.Entry) -> ConsentChange.State? {
        held.value.string.flatMap { ConsentChange.State(rawValue: $0) }
    }

    private func found(_ memory: Memory) -> State {
        switch memory.trait.map(Self.state) {
        case .some(.granted): .granted
        // Whatever is not known to be a grant must not be taken for one.
        case .some: .withdrawn
        case .none: .unknown
        }
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { found(memory) == state }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? { nil }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        var details: [String: JSON] = ["state": .string(found(memory).rawValue)]
        if let held = memory.trait {
            details["at"] = .string(held.stamp.at.rfc3339)
            details["ledgerEntry"] = .string(held.stamp.messageID)
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            details: details
        )
        .with(
            Finding(
                text: memory.trait.map { "\(found(memory).rawValue) since \($0.stamp.at.rfc3339)" }
                    ?? "nothing was decided"))
    }

    package var text: String { "consent \(JSON.string(purpose).compact) \(state.rawValue)" }

    package var json: JSON { ["purpose": .string(purpose), "is": .string(state.rawValue)] }
}
