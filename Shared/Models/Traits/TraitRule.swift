/// Which of the values that were said of a trait holds. A removal (null) takes away every value that wasn't said
/// again after it, whatever the rule.
package enum TraitRule: Hashable, Sendable {
    /// The one said last, by time of occurrence and then message id.
    case latest
    /// The one said first.
    case first
    /// The greatest: numbers, also as decimal texts, by size; other texts by their bytes, so RFC 3339 times by time.
    case maximum
    /// All of them, once each, in the order in which they were said first; the elements of lists one by one.
    case union
    /// That of the best source; the smaller the rank, the better. Of sources alike the one said last.
    case priority(rank: Int)

    /// `latest`, `first`, `max`, `union`, or `priority:2` with the rank.
    package init?(text: String) {
        switch text {
        case "latest": self = .latest
        case "first": self = .first
        case "max": self = .maximum
        case "union": self = .union
        default:
            guard text.hasPrefix("priority:"), let rank = Int(text.dropFirst("priority:".count)), rank >= 0
            else {
                return nil
            }
            self = .priority(rank: rank)
        }
    }

    /// As `init(text:)` reads it.
    package var text: String {
        switch self {
        case .latest, .first, .maximum, .union: name
        case .priority(let rank): "\(name):\(rank)"
        }
    }

    /// The rule without what it says of one source.
    package var name: String {
        switch self {
        case .latest: "latest"
        case .first: "first"
        case .maximum: "max"
        case .union: "union"
        case .priority: "priority"
        }
    }
}
