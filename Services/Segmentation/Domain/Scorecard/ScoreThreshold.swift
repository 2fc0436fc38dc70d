package import Models

/// A number that a rule compares a score with.
package struct ScoreThreshold: Hashable, Sendable {
    /// What the rule decides: a segment or a stage, by its key among the segments.
    package var key: String
    package var value: ScoreValue

    /// All thresholds of a score in the rules in force, each once, in order of the keys.
    package static func all(of score: String, in set: SegmentSet) -> [ScoreThreshold] {
        var found: [ScoreThreshold] = []
        for definition in set.inForce where definition.isSegment || definition.isOfStages {
            for case let value as ScoreValue in definition.rule.leaves where value.id == score {
                let threshold = ScoreThreshold(key: definition.id, value: value)
                if !found.contains(threshold) { found.append(threshold) }
            }
        }
        return found
    }

    /// How a score compares with it at an instant, and when that changes if nothing happens.
    package func json(_ standing: ScoreStanding, at instant: Instant) -> JSON {
        let points = standing.points(at: instant)
        let finding = value.range.finding(points.units, over: Points.scale)
        var members: [String: JSON] = [
            "text": .string(value.text), "holds": .bool(value.range.contains(points)),
            "finding": .string(finding.text),
            "changesAt": standing.nextChange(of: value.range, after: instant).map { .string($0.rfc3339) }
                ?? .null,
        ]
        members.merge(finding.details) { $1 }
        if let stage = SegmentDefinition.stage(ofRuleKey: key) {
            members["stage"] = .string(stage)
        } else {
            members["segment"] = .string(key)
        }
        return .object(members)
    }
}

extension Lack {
    /// Whether it says how much is missing: so many times more, so many points.
    package var isMeasured: Bool {
        switch self {
        case .condition(let explanation, let because):
            because?.isMeasured ?? (!explanation.holds && explanation.details["missing"] != nil)
        case .each(let parts): parts.allSatisfy(\.isMeasured)
        case .oneOf(let parts): parts.contains { $0.isMeasured }
        }
    }
}
