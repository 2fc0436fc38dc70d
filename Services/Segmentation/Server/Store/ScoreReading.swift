import Models
import SegmentationDomain

/// What a profile's scores come to, out of its state.
enum ScoreReading {
    /// One score of one profile.
    struct Value {
        var id: String
        var version: Int
        var scoring: Scoring
        var standing: ScoreStanding
        var memory: Memory

        /// The score at an instant and what moved it.
        func json(at instant: Instant) -> [String: JSON] {
            [
                "id": .string(id), "version": .integer(Int64(version)),
                "score": .string(standing.points(at: instant).amount.text),
                "parts": .array(scoring.parts(of: standing, at: instant)),
            ]
        }
    }

    /// The scores at an instant that is not before the decided one; without those whose state is yet to be brought to a
    /// changed definition.
    static func values(of state: ProfileState, in set: SegmentSet, at instant: Instant) -> [Value] {
        let decider = SegmentDecider(set)
        let state = decider.seen(state)
        return set.inForce.compactMap { definition in
            guard let id = definition.scoreID, let (scoring, memory) = decider.score(id, of: state) else {
                return nil
            }
            return Value(
                id: id, version: definition.version, scoring: scoring,
                standing: scoring.standing(memory, at: instant), memory: memory)
        }
    }
}
