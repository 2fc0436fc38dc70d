package import Models

/// A kind of model of a population.
package enum PopulationModelKind: String, CaseIterable, Sendable {
    case rfm, percentile
}

/// A condition that compares somebody with a population as an edition of a model had it, which is written into the rule.
package protocol EditionOperator: GroupOperator {
    var model: String { get }
    var isWithoutEdition: Bool { get }
    /// Where editions are made: `/v1/…`.
    static var collection: String { get }
}

extension EditionOperator {
    package var settles: (truth: Bool, whole: Bool) { (false, false) }

    /// That nobody is in it for now; nil where somebody may be.
    var lacksEdition: String? {
        isWithoutEdition
            ? "of the model \(model) there is no edition yet, so it holds for nobody; POST /v1/\(Self.collection) makes one"
            : nil
    }
}

extension Condition {
    /// The models that a rule names, each with its place.
    package func models(
        at path: RulePath = RulePath()
    ) -> [(kind: PopulationModelKind, model: String, path: RulePath)] {
        guard case .group(let group) = kind else { return [] }
        let path = path.appending(type(of: group).key)
        if let named = group as? any EditionOperator {
            return PopulationModelKind(rawValue: type(of: group).key).map { [($0, named.model, path)] } ?? []
        }
        return group.conditions.enumerated().flatMap { index, condition in
            condition.models(at: group is Not ? path : path.appending("\(index)"))
        }
    }

    /// The same rule by the editions that are chosen for each model and the edition that is there.
    package func byEditions(
        _ choose: (PopulationModelKind, String, JSON?) -> JSON?
    ) throws(InvalidRule) -> Condition {
        try RuleReader.read(
            Self.rewritten(json) { key, payload in
                guard let kind = PopulationModelKind(rawValue: key), var members = payload.object,
                    let model = members["model"]?.string
                else { return payload }
                members["edition"] = choose(kind, model, members["edition"])
                return .object(members)
            })
    }

    /// A rule's JSON with the payload of each condition that is no group of others as it is chosen.
    static func rewritten(_ rule: JSON, _ choose: (_ key: String, _ payload: JSON) -> JSON) -> JSON {
        guard let (key, payload) = rule.object?.first else { return rule }
        switch key {
        case AllOf.key, AnyOf.key:
            return .object([key: .array((payload.array ?? []).map { rewritten($0, choose) })])
        case Not.key: return .object([key: rewritten(payload, choose)])
        default: return .object([key: choose(key, payload)])
        }
    }
}
