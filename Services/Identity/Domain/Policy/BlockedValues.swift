import Models

/// Values that senders put where they have none: whoever carries one is not known by it.
package struct BlockedValues: Hashable, Sendable {
    /// Whole values, compared without regard to case.
    package let values: Set<String>
    /// Values with `*` for any text, compared without regard to case.
    package let patterns: [String]
    /// Whether zeros alone, with whatever punctuation, are blocked: `0`, `000-000`, the nil UUID.
    package let zeros: Bool

    package init(values: some Sequence<String> = [], patterns: [String] = [], zeros: Bool = false) {
        self.values = Set(values.map { $0.lowercased() })
        self.patterns = patterns.map { $0.lowercased() }
        self.zeros = zeros
    }

    package func contains(_ value: String) -> Bool {
        if values.isEmpty, patterns.isEmpty, !zeros { return false }
        let folded = value.lowercased()
        return values.contains(folded) || zeros && Self.isZeros(folded)
            || patterns.contains { Self.matches(Array(folded.utf8), Array($0.utf8)) }
    }

    private static func isZeros(_ value: String) -> Bool {
        var found = false
        for byte in value.utf8 {
            if byte == UInt8(ascii: "0") {
                found = true
            } else if ![
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "+"), UInt8(ascii: " "),
            ]
            .contains(byte) {
                return false
            }
        }
        return found
    }

    /// In time proportional to the product of the lengths at worst: on a mismatch only the last `*` is tried further.
    static func matches(_ value: [UInt8], _ pattern: [UInt8]) -> Bool {
        var (place, at) = (0, 0)
        var star: (pattern: Int, value: Int)?
        while place < value.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                star = (at, place)
                at += 1
            } else if at < pattern.count, pattern[at] == value[place] {
                (place, at) = (place + 1, at + 1)
            } else if let last = star {
                star = (last.pattern, last.value + 1)
                (place, at) = (last.value + 1, last.pattern + 1)
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
