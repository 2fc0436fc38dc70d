/// What a string of IAB's Global Privacy Platform says: the section of Europe's framework, and of the sections of the US
/// what people have opted out of. Read are the national section and those of California, Virginia, Colorado, Utah and
/// Connecticut, and the older US Privacy string; a string with any other section can't be read.
package struct GPPString: Hashable, Sendable {
    package enum Choice: Sendable {
        case optedOut, didNot
    }

    package var tcf: TCString?
    /// What the sections say; where they disagree, that somebody has opted out.
    package var choices: [GPPOptOut: Choice] = [:]

    private static let longest = 32_768

    package init(_ text: String) throws(SignalMistake) {
        guard text.utf8.count <= Self.longest else { throw SignalMistake("it is too long") }
        let parts = text.split(separator: "~", omittingEmptySubsequences: false)
        let ids = try Self.sections(parts[0])
        guard ids.count == parts.count - 1 else {
            throw SignalMistake("it has another number of sections than it says")
        }
        for (id, section) in zip(ids, parts.dropFirst()) {
            switch id {
            case 2: tcf = try TCString(String(section))
            case 6: try readUSPrivacy(section)
            default:
                guard let layout = USLayout.of[id] else {
                    throw SignalMistake("section \(id) isn't known here")
                }
                try read(section, layout)
            }
        }
    }

    /// The header: which sections there are, in their order.
    private static func sections(_ header: Substring) throws(SignalMistake) -> [Int] {
        var bits = try BitReader(header)
        guard try bits.number(6) == 3 else { throw SignalMistake("it has no header of this platform") }
        guard try bits.number(6) == 1 else { throw SignalMistake("it isn't of version 1") }
        var ids: [Int] = []
        var last = 0
        for _ in 0..<(try bits.number(12)) {
            let isRange = try bits.bit()
            let first = last + (try bits.fibonacci())
            last = isRange ? first + (try bits.fibonacci()) : first
            guard last <= 64 else { throw SignalMistake("a section that can't be") }
            ids += first...last
        }
        try bits.finish()
        return ids
    }

    private mutating func say(_ choice: GPPOptOut, _ value: Choice) {
        if choices[choice] != .optedOut { choices[choice] = value }
    }

    /// `1YNN`: the version, whether there was a notice, whether the sale was opted out of, and by whose contract.
    private mutating func readUSPrivacy(_ text: Substring) throws(SignalMistake) {
        let letters = Array(text.utf8)
        guard letters.count == 4, letters[0] == UInt8(ascii: "1"),
            letters[1...].allSatisfy({
                [UInt8(ascii: "Y"), UInt8(ascii: "N"), UInt8(ascii: "-")].contains($0)
            })
        else { throw SignalMistake("its US Privacy string can't be") }
        switch letters[2] {
        case UInt8(ascii: "Y"): say(.sale, .optedOut)
        case UInt8(ascii: "N"): say(.sale, .didNot)
        default: break
        }
    }

    private mutating func read(_ section: Substring, _ layout: USLayout) throws(SignalMistake) {
        let parts = section.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { throw SignalMistake("a section with too many parts") }
        var bits = try BitReader(parts[0])
        guard layout.versions.contains(try bits.number(6)) else {
            throw SignalMistake("a section of unknown version")
        }
        guard bits.count >= layout.length else { throw SignalMistake("it ends too early") }
        _ = try bits.number(layout.notices * 2)
        for choice in layout.choices {
            switch try bits.number(2) {
            case 0: break
            case 1: say(choice, .optedOut)
            case 2: say(choice, .didNot)
            default: throw SignalMistake("a choice that can't be")
            }
        }
        guard parts.count == 2 else { return }
        var control = try BitReader(parts[1])
        guard try control.number(2) == 1 else { throw SignalMistake("a part of a section of unknown type") }
        if try control.bit() { for choice in layout.choices { say(choice, .optedOut) } }
        try control.finish()
    }
}

/// How a section of the US begins: its version, notices of two bits each, and choices of two bits each.
private struct USLayout {
    let versions: ClosedRange<Int>
    let notices: Int
    let choices: [GPPOptOut]
    /// The bits that it has at least, with all that follows the choices.
    let length: Int

    static let of: [Int: USLayout] = [
        7: USLayout(
            versions: 1...2, notices: 6, choices: [.sale, .sharing, .targetedAdvertising], length: 60),
        8: USLayout(versions: 1...1, notices: 3, choices: [.sale, .sharing], length: 46),
        9: USLayout(versions: 1...1, notices: 3, choices: [.sale, .targetedAdvertising], length: 40),
        10: USLayout(versions: 1...1, notices: 3, choices: [.sale, .targetedAdvertising], length: 38),
        11: USLayout(versions: 1...1, notices: 4, choices: [.sale, .targetedAdvertising], length: 42),
        12: USLayout(versions: 1...1, notices: 3, choices: [.sale, .targetedAdvertising], length: 44),
    ]
}
