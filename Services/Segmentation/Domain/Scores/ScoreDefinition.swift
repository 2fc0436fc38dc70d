package import Models

/// A score stands among the segments as one that nobody is ever in: what it remembers is kept, stored, rebuilt, merged and
/// parted with theirs, by the same code. Its key there is no id that a segment can have.
extension SegmentDefinition {
    static let scoreMark = "score:"

    /// What a score is called among the segments.
    package static func key(ofScore id: String) -> String { scoreMark + id }

    /// A score as it stands among the segments.
    package init(score id: String, version: Int, scoring: Scoring, since: Instant = .distantPast) {
        self.init(
            id: Self.key(ofScore: id), version: version, condition: .scoring(scoring), since: since)
    }

    /// The score that is called so among the segments; nil for anything else, and for what it will be once it is made up in
    /// another way.
    package static func score(ofKey key: String) -> String? {
        key.hasPrefix(scoreMark) && segment(ofNext: key) == nil ? String(key.dropFirst(scoreMark.count)) : nil
    }

    /// The score's own id; nil for a segment, and for what a score will be.
    package var scoreID: String? { Self.score(ofKey: id) }

    /// How the score is made up; nil for a segment.
    package var scoring: Scoring? {
        if case .scoring(let scoring) = rule.condition { scoring } else { nil }
    }
}
