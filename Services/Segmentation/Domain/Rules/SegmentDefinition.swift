package import Models

/// A segment: the name of a group of profiles, and the rule that says who is in it.
package struct SegmentDefinition: Sendable {
    /// What the caller named it: lower-case letters, digits and hyphens.
    package let id: String
    /// Counted up with each change of the rule.
    package let version: Int
    package let rule: Rule
    /// Whether anybody is in it, and not only something remembered under its name that others look at.
    package let hasMembers: Bool
    /// Since when this version is in force, if it followed another.
    package let since: Instant
    /// The first version since the segment was made, which is not the first of all if one of its name was deleted before.
    package let firstVersion: Int
    /// Whether it is the next rule of a segment, which is not in force yet.
    let isNext: Bool

    package init(
        id: String, version: Int, condition: Condition, since: Instant = .distantPast, firstVersion: Int = 1
    ) {
        self.id = id
        self.version = version
        rule = Rule(condition)
        hasMembers = !Self.isMemory(id)
        self.since = since
        self.firstVersion = firstVersion
        isNext = Self.segment(ofNext: id) != nil
    }

    /// Whether text may name a segment: 1 to 64 of a–z, 0–9 and hyphens, beginning with a letter or digit.
    package static func isValid(id: String) -> Bool {
        let bytes = Array(id.utf8)
        let isAlphanumeric = { (byte: UInt8) in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, bytes.count <= 64, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
}
