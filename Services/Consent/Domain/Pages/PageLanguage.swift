/// The languages that people's own pages are written in.
package enum PageLanguage: String, Sendable, CaseIterable {
    case english = "en"
    case german = "de"
    case french = "fr"
    case spanish = "es"

    /// What is asked for, else what the browser prefers, else English.
    package init(asked: String?, accepting header: String?) {
        self = asked.flatMap(Self.init(tag:)) ?? header.flatMap(Self.preferred) ?? .english
    }

    /// The language of a tag of BCP 47: `de` for `de-CH`.
    package init?(tag: some StringProtocol) {
        self.init(rawValue: tag.prefix { $0 != "-" }.lowercased())
    }

    /// How many languages of a header are looked at.
    private static let mostRanges = 32

    /// The language that an `Accept-Language` (RFC 9110, 12.5.4) weighs most, of several the one named first; nil where it names
    /// none of ours.
    static func preferred(_ header: String) -> PageLanguage? {
        var best: (language: PageLanguage, weight: Int)?
        for range in header.prefix(2_048).split(separator: ",").prefix(mostRanges) {
            let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let language = parts.first.flatMap(Self.init(tag:)) else { continue }
            let written = parts.dropFirst().first { $0.lowercased().hasPrefix("q=") }
            // A weight that can't be read is none at all.
            let weight = written.map { Self.weight($0.dropFirst(2)) ?? 0 } ?? 1_000
            if weight > best?.weight ?? 0 { best = (language, weight) }
        }
        return best?.language
    }

    /// In thousandths; nil for what is no weight.
    private static func weight(_ text: Substring) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, whole == "0" || whole == "1" else { return nil }
        let digits = parts.count > 1 ? parts[1] : ""
        guard digits.utf8.count <= 3, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let thousandths = Int(digits + String(repeating: "0", count: 3 - digits.utf8.count))
        else { return nil }
        return min(1_000, (whole == "1" ? 1_000 : 0) + thousandths)
    }
}

extension Purpose {
    /// The text that somebody sees on a page in a language, with the language that it really is in; nil where the policy has
    /// no text. In another language is better than none.
    package func text(in language: PageLanguage) -> (text: String, locale: String)? {
        for wanted in [language, .english] {
            if let text = texts[wanted.rawValue] { return (text, wanted.rawValue) }
            let near = texts.keys.filter { PageLanguage(tag: $0) == wanted }.min()
            if let near, let text = texts[near] { return (text, near) }
        }
        guard let first = texts.keys.min(), let text = texts[first] else { return nil }
        return (text, first)
    }
}
