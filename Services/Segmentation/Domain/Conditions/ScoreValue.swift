package import Models

/// What a score comes to: `{"score": {"id": "engagement", "atLeast": 20}}`, with the comparisons of a sum.
///
/// It decays between events, so this ceases to hold at the very millisecond at which it passes the number.
package struct ScoreValue: ReferenceOperator {
    package static let key = "score"

    package let id: String
    package let range: AmountRange

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(["id"] + AmountRange.keys)
        let written = try field.required("id", "the id of a score")
        guard let id = written.json.string, SegmentDefinition.isValid(id: id) else {
            throw written.problem("the id of a score")
        }
        self.id = id
        range = try AmountRange(in: field)
    }

    package var references: [Reference] { [.score(id)] }

    package func holds(in surroundings: Surroundings, at instant: Instant) -> Bool {
        standing(in: surroundings, at: instant).map { range.contains($0.points(at: instant)) } ?? false
    }

    package func nextChange(in surroundings: Surroundings, after instant: Instant) -> Instant? {
        standing(in: surroundings, at: instant)?.nextPass(of: range, after: instant)
    }

    private func standing(in surroundings: Surroundings, at instant: Instant) -> ScoreStanding? {
        surroundings.score(id).map { $0.scoring.standing($0.memory, at: instant) }
    }

    package func explain(in surroundings: Surroundings, at instant: Instant) -> Explanation {
        let condition = JSON.object([Self.key: json])
        guard let score = surroundings.score(id) else {
            return Explanation(condition: condition, holds: false, text: text)
        }
        let standing = score.scoring.standing(score.memory, at: instant)
        let points = standing.points(at: instant)
        return Explanation(
            condition: condition, holds: range.contains(points), text: text,
            events: score.scoring.shown(score.memory, at: instant),
            unlisted: .scored(score.scoring, at: standing.at),
            details: [
                "score": .string(points.amount.text), "version": .integer(Int64(score.version)),
                "parts": .array(score.scoring.parts(of: standing, at: instant)),
            ]
        )
        .with(range.finding(points.units, over: Points.scale)).with(score.memory.cut)
    }

    package var text: String { "score \(RuleWords.name(id)) \(range.text)" }

    package var json: JSON { .object(range.members.merging(["id": .string(id)]) { $1 }) }
}

extension Scoring {
    /// The events that count, each with its points at the time.
    package func shown(_ memory: Memory, at instant: Instant) -> [Occurrence] {
        memory.occurrences.prefix { $0.at <= instant }.map { occurrence in
            var shown = occurrence
            let number = occurrence.number ?? 0
            shown.amount = events.indices.contains(number) ? events[number].weight : nil
            return shown
        }
    }

    /// What each kind of event has left of what it brought, those that brought something.
    package func parts(of standing: ScoreStanding, at instant: Instant) -> [JSON] {
        zip(events, standing.parts).compactMap { kind, part in
            guard part.count > 0 else { return nil }
            return [
                "text": .string(kind.text), "count": .integer(Int64(part.count)),
                "points": .string(standing.left(of: part.points, at: instant).amount.text),
            ]
        }
    }
}
