package import ConsentDomain
package import Models

/// A rule for those alone who permit what the consent policy says that its segment needs: all of its purposes.
///
/// Nobody writes it: it is put around the rule when that is stored, and with each policy that says otherwise the rule gets
/// another version. So who permits what is as exact in time as the rule, is explained with it, and is decided by the code
/// that decides everything else.
package struct Permitted: GroupOperator {
    package static let key = "permitted"

    /// The rule as somebody wrote it.
    package let rule: Condition
    package let needs: [Need]
    package let conditions: [Condition]

    /// A purpose that is needed, as far as it is decided by what is known of a person.
    package struct Need: Hashable, Sendable {
        package let purpose: String
        /// Nil for a purpose that the policy doesn't have, which nobody permits.
        let basis: LegalBasis?
        let lasts: ConsentTerm?
        let places: [Jurisdiction]

        init(_ id: String, of policy: ConsentPolicy) {
            let known = policy.purposes[id]
            (purpose, basis, lasts) = (id, known?.legalBasis, known?.lasts)
            places = known?.jurisdictions ?? []
        }

        init(_ field: RuleField) throws(RuleProblem) {
            try field.allow(["purpose", "basis", "lasts", "in"])
            purpose = try field.required("purpose", "the id of a purpose").text("the id of a purpose")
            basis = try field.optional("basis").map { field throws(RuleProblem) in
                guard let basis = field.json.string.flatMap(LegalBasis.init) else {
                    throw field.problem("a legal basis that this version knows")
                }
                return basis
            }
            lasts = try field.optional("lasts").map { field throws(RuleProblem) in
                guard let term = field.json.string.flatMap(ConsentTerm.init) else {
                    throw field.problem("a duration of ISO 8601")
                }
                return term
            }
            var places: [Jurisdiction] = []
            if let field = field.optional("in") {
                for element in try field.elements(1...50, of: "places") {
                    guard let place = element.json.string.flatMap({ Jurisdiction($0) }) else {
                        throw element.problem("a country such as CH or US-CA, EU or EEA")
                    }
                    places.append(place)
                }
            }
            self.places = places
        }

        var json: JSON {
            var members: [String: JSON] = ["purpose": .string(purpose)]
            members["basis"] = basis.map { .string($0.rawValue) }
            members["lasts"] = lasts.map { .string($0.text) }
            if !places.isEmpty { members["in"] = .array(places.map { .string($0.code) }) }
            return .object(members)
        }
    }

    init(_ rule: Condition, needs: [Need]) {
        (self.rule, self.needs) = (rule, needs)
        conditions =
            [rule]
            + needs.flatMap { need -> [Condition] in
                let permission = Condition.permission(PurposePermission(need))
                return need.places.isEmpty ? [permission] : [permission, .place(InPlace(need))]
            }
    }

    /// Reads what was stored. `RuleReader` reads no rule that somebody writes so.
    init(_ field: RuleField) throws(InvalidRule) {
        let rule: RuleField
        var needs: [Need] = []
        do {
            try field.allow(["rule", "needs"])
            rule = try field.required("rule", "a rule")
            for element in try field.required("needs", "purposes").elements(1...50, of: "purposes") {
                needs.append(try Need(element))
            }
        } catch { throw InvalidRule([error]) }
        self.init(try RuleReader.read(rule.json, at: rule.path), needs: needs)
    }

    package var json: JSON { ["rule": rule.json, "needs": .array(needs.map(\.json))] }
    package var settles: (truth: Bool, whole: Bool) { (false, false) }
    package func text(_ parts: [String]) -> String { "(\(parts.joined(separator: " and ")))" }
}

extension Condition {
    /// The rule as somebody wrote it, without what the policy asks.
    package var asWritten: Condition {
        if case .permitted(let permitted) = self { permitted.rule } else { self }
    }

    /// What the policy asks for it.
    package var needs: [Permitted.Need] {
        if case .permitted(let permitted) = self { permitted.needs } else { [] }
    }

    /// The rule as a policy has it for a segment.
    package func permitted(by policy: ConsentPolicy, as segment: String) -> Condition {
        let needed = policy.requirement(of: .segments, segment)?.purposes ?? []
        return asWritten.with(needed.map { Permitted.Need($0, of: policy) })
    }

    /// Another rule in the place of the one that somebody wrote, with the same needs.
    package func replacingRule(with rule: Condition) -> Condition { rule.with(needs) }

    private func with(_ needs: [Permitted.Need]) -> Condition {
        needs.isEmpty ? self : .permitted(Permitted(self, needs: needs))
    }
}

extension RuleReader {
    /// Reads a rule as it is stored.
    package static func read(stored json: JSON) throws(InvalidRule) -> Condition {
        guard let payload = json[Permitted.key], json.object?.count == 1 else { return try read(json) }
        return .permitted(try Permitted(RuleField(payload, at: RulePath([Permitted.key]))))
    }
}
