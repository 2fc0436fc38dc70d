import Models

/// A score stands among the segments as one that nobody is ever in: what it remembers is kept, stored, rebuilt, merged and
/// parted with theirs, by the same code. Its key there is no id that a segment can have.
extension SegmentDefinition {
    static let scoreMark = "score:"

    /// What a score is called among the segments.
    package static func key(ofScore id: String) -> String { scoreMark + id }

    /// A score as it stands among the segments.
    package init(score id: String, version: Int, scoring: Scoring) {
        self.init(id: Self.key(ofScore: id), version: version, condition: .scoring(scoring))
    }

    /// The score's own id; nil for a segment.
    package var scoreID: String? {
        id.hasPrefix(Self.scoreMark) ? String(id.dropFirst(Self.scoreMark.count)) : nil
    }

    /// How the score is made up; nil for a segment.
    package var scoring: Scoring? {
        if case .scoring(let scoring) = rule.condition { scoring } else { nil }
    }
}
