package import Models

extension TrackingPlan {
    /// Judges an event. What is personal is dropped or hashed first, whatever comes of it.
    ///
    /// `hash` makes a keyed digest of text; see `DigestShape` for what it has to look like. The same event and
    /// the same `hash` give the same judgement, and an event that was accepted is accepted again as it is. An
    /// event that comes back from quarantine is judged by what is left of it: what was wrong with a personal
    /// value cannot be found again.
    ///
    /// What the schema of identify calls says about personal traits also holds for `context.traits` of every
    /// event, for that is where SDKs repeat them.
    package func judge(event: TrackingEvent, hash: (String) -> String) -> PlanJudgement {
        withoutActuallyEscaping(hash) { hash in judged(event, hash) }
    }

    private func judged(_ event: TrackingEvent, _ hash: @escaping (String) -> String) -> PlanJudgement {
        let digest = DigestShape(hash)
        var judgement = PlanJudgement(event: event)
        if let schema = calls[.identify], let traits = event.context["traits"]?.object {
            var minimisation = Minimisation(schema: schema, hash: hash, digest: digest)
            judgement.event.context["traits"] = .object(minimisation.minimise(traits))
            judgement.treated += minimisation.treated.map { $0.below(["context", "traits"]) }
        }
        guard let schema = schema(for: event) else {
            if event.kind == .track, unplanned == .quarantine { judgement.action = .quarantine(.unplanned) }
            return judgement
        }
        let section = Section(of: event.kind)
        var minimisation = Minimisation(schema: schema, hash: hash, digest: digest)
        let members = minimisation.minimise(event[keyPath: section.path])
        judgement.event[keyPath: section.path] = members
        judgement.treated += minimisation.treated.map { $0.below([section.name]) }

        let limit = mode == .dropProperty ? PropertyDropping.violations : SchemaLimits.violations
        var evaluation = SchemaEvaluation(schema: schema, root: .object(members), digest: digest)
        let found = evaluation.violations(limit: limit)
        let violations = minimisation.violations + found
        judgement.violations = violations.prefix(SchemaLimits.violations).map { $0.below(section.name) }
        if violations.isEmpty { return judgement }
        switch mode {
        case .allow: break
        case .quarantine: judgement.action = .quarantine(.violation)
        case .dropProperty:
            var dropping = PropertyDropping(schema: schema, digest: digest, members: members)
            if dropping.mend(found, personal: minimisation.violations) {
                judgement.event[keyPath: section.path] = dropping.members
                judgement.dropped = dropping.dropped.map { JSONPointer([section.name] + $0.tokens) }
            } else {
                judgement.action = .quarantine(.violation)
            }
        }
        return judgement
    }

    /// The part of an event that its schema is about.
    private struct Section {
        let name: String
        let path: WritableKeyPath<TrackingEvent, [String: JSON]>

        init(of kind: TrackingEvent.Kind) {
            switch kind {
            case .identify, .group:
                name = "traits"
                path = \.traits
            case .track, .page, .screen, .alias:
                name = "properties"
                path = \.properties
            }
        }
    }
}

extension PlanJudgement.Treated {
    fileprivate func below(_ tokens: [String]) -> Self {
        Self(pointer: JSONPointer(tokens + pointer.tokens), treatment: treatment)
    }
}

extension Violation {
    fileprivate func below(_ token: String) -> Violation {
        Violation(JSONPointer([token] + pointer.tokens), keyword, detail)
    }
}
