import ConsentDomain
package import Models

/// That somebody permits a purpose, by what they last said of it and by its legal basis; a grant until it expires. Whether
/// they do is decided by the rule that all services ask (`Purpose.denial`).
package struct PurposePermission: LeafOperator {
    package static let key = "permission"

    private let id: String
    /// Nil for one that the policy doesn't have.
    private let purpose: Purpose?

    init(_ need: Permitted.Need) {
        id = need.purpose
        purpose = need.basis.map { basis in
            var purpose = Purpose(id: need.purpose, name: "", legalBasis: basis, textVersion: "")
            purpose.lasts = need.lasts
            return purpose
        }
    }

    package var keeps: String? { nil }
    package var interest: Interest { .consent(id) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        ConsentState.remember(event, of: id, at: instant, in: &memory)
    }

    private func word(_ memory: Memory) -> ConsentWord? {
        memory.trait.map { ConsentWord(ConsentState.state($0) ?? .withdrawn, at: $0.stamp.at) }
    }

    private func denial(_ memory: Memory, at instant: Instant) -> ConsentDenial.Reason? {
        guard let purpose else { return .purposeUnknown }
        return purpose.denial(word(memory), ConsentUse(), now: instant)
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool { denial(memory, at: instant) == nil }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        guard let end = expiry(memory), end > instant else { return nil }
        return end
    }

    private func expiry(_ memory: Memory) -> Instant? {
        guard let purpose, let word = word(memory) else { return nil }
        return purpose.expiry(of: word)
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let denial = denial(memory, at: instant)
        let word = word(memory)
        var details: [String: JSON] = ["state": .string(word?.state.rawValue ?? "unknown")]
        details["reason"] = denial.map { .string($0.rawValue) }
        details["at"] = word.map { .string($0.at.rfc3339) }
        details["ledgerEntry"] = memory.trait.map { .string($0.stamp.messageID) }
        details["expiresAt"] = expiry(memory).map { .string($0.rfc3339) }
        return Explanation(
            condition: .object([Self.key: json]), holds: denial == nil, text: text, details: details
        )
        .with(Finding(text: finding(word, expiry(memory), denial)))
    }

    private func finding(_ word: ConsentWord?, _ expiry: Instant?, _ denial: ConsentDenial.Reason?) -> String
    {
        guard let purpose else { return "the policy requires it and does not have it" }
        let said = word.map { "\($0.state.rawValue) at \($0.at.rfc3339)" }
        switch purpose.legalBasis {
        case .contract: return "it is needed for a contract"
        case .legitimateInterest:
            let basis = "the policy names a legitimate interest"
            return denial == nil ? basis : "\(basis), to which was objected: \(said ?? "")"
        case .consent:
            let asked = "the policy requires consent to it, which was "
            guard let said else { return asked + "never given" }
            return asked + said
                + (denial == .consentExpired ? " and expired at \(expiry?.rfc3339 ?? "")" : "")
        }
    }

    package var text: String { "permission for \(JSON.string(id).compact)" }

    package var json: JSON {
        var members: [String: JSON] = ["purpose": .string(id)]
        members["basis"] = purpose.map { .string($0.legalBasis.rawValue) }
        members["lasts"] = purpose?.lasts.map { .string($0.text) }
        return .object(members)
    }
}
