import Foundation

/// How texts are made comparable for search: without case, without marks over and under letters.
enum SearchText {
    /// Characters of a value that are looked at.
    static let longest = 256
    /// Words of a name that are looked at.
    static let mostWords = 8

    /// Letters that are no base letter with a mark, and are still typed as one.
    private static let plain: [Unicode.Scalar: String] = [
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i",
    ]

    /// The text in lower case without diacritics, and without white space around it.
    static func folded(_ text: String) -> String {
        let start = String(String.UnicodeScalarView(text.unicodeScalars.prefix(longest)))
        if start.utf8.allSatisfy({ $0 < 0x80 }) {
            return start.lowercased().trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let folded = start.folding(
            options: [.caseInsensitive, .diacriticInsensitive, .widthInsensitive], locale: nil)
        var result = ""
        for scalar in folded.unicodeScalars {
            if let letters = plain[scalar] {
                result += letters
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The runs of letters and digits, folded.
    static func words(_ text: String) -> [String] {
        folded(text).unicodeScalars
            .split { !($0.properties.isAlphabetic || $0.properties.numericType != nil) }
            .prefix(mostWords)
            .map { String(String.UnicodeScalarView($0)) }
    }

    /// The digits of a telephone number without what marks it as international; nil for a text that has anything but
    /// digits and the punctuation of numbers.
    static func digits(_ text: String) -> String? {
        var digits = ""
        for scalar in folded(text).unicodeScalars {
            switch scalar {
            case "0"..."9": digits.unicodeScalars.append(scalar)
            case "+", " ", "-", ".", "(", ")", "/": continue
            default: return nil
            }
        }
        if digits.hasPrefix("00") { digits.removeFirst(2) }
        return digits.isEmpty ? nil : digits
    }

    /// Characters of a term that the index knows: the least and the most.
    static let indexed = 3...12

    /// The beginnings of a term that are in the index.
    static func prefixes(of term: String) -> [String] {
        let scalars = Array(term.unicodeScalars.prefix(indexed.upperBound))
        guard scalars.count >= indexed.lowerBound else { return [] }
        return (indexed.lowerBound...scalars.count).map {
            String(String.UnicodeScalarView(scalars.prefix($0)))
        }
    }

    /// The beginning of what is searched for that the index knows; nil when it is too short.
    static func longestPrefix(of term: String) -> String? { prefixes(of: term).last }
}
