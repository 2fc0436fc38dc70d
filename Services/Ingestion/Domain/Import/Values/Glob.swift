/// A shell pattern: `*` for any text, `?` for one character, `[0-9]` and `[!a-z]` for one of a set, `\` before a
/// character that is meant as it stands. It must fit the whole text.
///
/// Matching takes at most the product of both lengths, whatever the pattern: people upload these.
package struct Glob: Sendable, Hashable {
    private enum Part: Sendable, Hashable {
        case any
        case one
        case scalar(Unicode.Scalar)
        case set([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    private let parts: [Part]

    /// Every text is a pattern: a `[` that is never closed stands for itself.
    package init(_ text: String) {
        var parts: [Part] = []
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": if parts.last != .any { parts.append(.any) }
            case "?": parts.append(.one)
            case "\\": parts.append(.scalar(rest.popFirst() ?? scalar))
            case "[":
                if let (set, length) = Self.set(rest) {
                    parts.append(set)
                    rest = rest.dropFirst(length)
                } else {
                    parts.append(.scalar(scalar))
                }
            default: parts.append(.scalar(scalar))
            }
        }
        self.parts = parts
    }

    /// What stands between `[` and `]`, and how many scalars that is; nil where no `]` follows.
    private static func set(_ text: ArraySlice<Unicode.Scalar>) -> (part: Part, length: Int)? {
        var rest = text
        let isNegated = rest.first == "!" || rest.first == "^"
        if isNegated { rest.removeFirst() }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        var isFirst = true
        while let scalar = rest.popFirst() {
            // A `]` right at the beginning is one of the set.
            if scalar == "]", !isFirst {
                return (.set(ranges, isNegated: isNegated), text.count - rest.count)
            }
            isFirst = false
            let low = scalar == "\\" ? rest.popFirst() ?? scalar : scalar
            if rest.first == "-", let high = rest.dropFirst().first, high != "]" {
                rest.removeFirst(2)
                if low <= high { ranges.append(low...high) }
            } else {
                ranges.append(low...low)
            }
        }
        return nil
    }

    /// Whether the whole text fits.
    package func matches(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var (part, place) = (0, 0)
        // Where the last `*` stood, and how much of the text it has taken so far.
        var star: (part: Int, place: Int)?
        while place < scalars.count {
            if part < parts.count, parts[part] == .any {
                star = (part, place)
                part += 1
            } else if part < parts.count, Self.fits(parts[part], scalars[place]) {
                part += 1
                place += 1
            } else if let last = star {
                star = (last.part, last.place + 1)
                (part, place) = (last.part + 1, last.place + 1)
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == .any }
    }

    private static func fits(_ part: Part, _ scalar: Unicode.Scalar) -> Bool {
        switch part {
        case .any: false
        case .one: true
        case .scalar(let wanted): wanted == scalar
        case .set(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
        }
    }
}
