import Models

/// What a policy says, ready to be asked with every event: what a thing needs is one look-up away, with the purposes' rules.
final class PolicyContents: Hashable, Sendable {
    let purposes: [String: Purpose]
    let requires: [ConsentPolicy.Kind: [String: ConsentPolicy.Requirement]]
    private let rules: [String: PurposeRule]
    private let needs: [Needs]

    /// What one thing needs; without a rule where nobody has defined the purpose.
    private final class Need: Sendable {
        let requirement: ConsentPolicy.Requirement
        let rules: [PurposeRule?]

        init(_ requirement: ConsentPolicy.Requirement, _ rules: [String: PurposeRule]) {
            self.requirement = requirement
            self.rules = requirement.purposes.map { rules[$0] }
        }
    }

    /// Of a kind, by name.
    private struct Needs: Sendable {
        var named: [String: Need] = [:]
        var others: Need?

        func of(_ name: String) -> Need? {
            named.isEmpty ? others : named[name] ?? others
        }
    }

    init(
        _ purposes: [String: Purpose], _ requires: [ConsentPolicy.Kind: [String: ConsentPolicy.Requirement]]
    ) {
        (self.purposes, self.requires) = (purposes, requires)
        let rules = purposes.mapValues(PurposeRule.init)
        self.rules = rules
        var needs = Array(repeating: Needs(), count: ConsentPolicy.Kind.allCases.count)
        for (kind, required) in requires {
            var named = required.mapValues { Need($0, rules) }
            let others = named.removeValue(forKey: "*")
            needs[kind.place] = Needs(named: named, others: others)
        }
        self.needs = needs
    }

    func requirement(of kind: ConsentPolicy.Kind, _ name: String) -> ConsentPolicy.Requirement? {
        // `*` itself may be asked for.
        needs[kind.place].of(name)?.requirement
    }

    /// Why a use of one thing alone is denied: the first of the purposes that does not permit it.
    func denial(
        of use: ConsentUse, _ thing: ConsentUse.Thing, _ state: [String: ConsentWord], now: Instant
    ) -> ConsentDenial? {
        guard let need = needs[thing.kind.place].of(thing.name) else { return nil }
        for (index, id) in need.requirement.purposes.enumerated() {
            guard let rule = need.rules[index] else { return ConsentDenial(id, .purposeUnknown) }
            if let reason = rule.denial(state[id], use, now: now) { return ConsentDenial(id, reason) }
        }
        return nil
    }

    /// The same of whatever needs some purposes.
    func denial(
        of use: ConsentUse, _ needed: [String], _ state: [String: ConsentWord], now: Instant
    ) -> ConsentDenial? {
        for id in needed {
            guard let rule = rules[id] else { return ConsentDenial(id, .purposeUnknown) }
            if let reason = rule.denial(state[id], use, now: now) { return ConsentDenial(id, reason) }
        }
        return nil
    }

    static func == (left: PolicyContents, right: PolicyContents) -> Bool {
        left === right || left.purposes == right.purposes && left.requires == right.requires
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(purposes)
        hasher.combine(requires)
    }
}

extension ConsentPolicy.Kind {
    /// Its place among all kinds.
    fileprivate var place: Int {
        switch self {
        case .events: 0
        case .traits: 1
        case .segments: 2
        case .journeys: 3
        case .channels: 4
        case .destinations: 5
        case .recommendations: 6
        case .identifiers: 7
        }
    }
}
