import Models

/// By which channels and how often somebody wants to be written to, of whatever purpose.
///
/// In the ledger a wish stands under a name that no purpose can have, so it is proved, merged, parted and erased as consents
/// are, and delivery reads it where it reads them.
package enum ContactWish {
    /// Under which name it stands whether somebody may be reached by a channel: until they say no they may.
    package static func name(ofChannel channel: String) -> String { "channel:" + channel }

    /// Whether a wish can stand under a name.
    package static func isName(_ text: String) -> Bool {
        if let channel = channel(named: text) { return Purpose.isLabel(channel) }
        return ContactFrequency.allCases.contains { $0.name == text }
    }

    /// The channel of such a name; nil for any other.
    package static func channel(named name: String) -> String? {
        name.hasPrefix("channel:") ? String(name.dropFirst("channel:".count)) : nil
    }

    /// Every name that what is sent by a channel is decided by.
    package static func names(forChannel channel: String) -> Set<String> {
        Set([name(ofChannel: channel)] + ContactFrequency.allCases.map(\.name))
    }

    /// Whether somebody does not want to be reached by a channel.
    package static func refuses(_ channel: String, _ words: [String: ConsentWord]) -> Bool {
        words[name(ofChannel: channel)]?.state == .withdrawn
    }
}

/// How often somebody wants to be written to at most, beside what they need for an order or an account.
package enum ContactFrequency: String, Sendable, Codable, CaseIterable {
    case daily, weekly, monthly

    /// Under which name the wish stands: granted while it holds.
    package var name: String { "frequency:" + rawValue }

    /// Within this time there is one message at most.
    package var window: Duration {
        switch self {
        case .daily: .hours(24)
        case .weekly: .hours(7 * 24)
        case .monthly: .hours(30 * 24)
        }
    }

    /// What somebody last wished; nil where they wish nothing, or nothing any more. Of two wishes at the same instant, which two
    /// profiles that became one may hold, the rarer counts.
    package init?(_ words: [String: ConsentWord]) {
        let wishes = Self.allCases.compactMap { wish in words[wish.name].map { (wish: wish, word: $0) } }
        let last = wishes.map(\.word.at).max()
        let standing = wishes.filter { $0.word.at == last && $0.word.state == .granted }.map(\.wish)
        guard let rarest = standing.max(by: { $0.window < $1.window }) else { return nil }
        self = rarest
    }
}
