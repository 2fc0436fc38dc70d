package import Models

/// What a TC string of IAB Europe's Transparency and Consent Framework says of consent, versions 2.0 to 2.3
/// ("Consent string and vendor list formats v2").
package struct TCString: Hashable, Sendable {
    package var policyVersion = 0
    /// When something was chosen last; many platforms say the day alone.
    package var lastUpdated: Instant?
    package var purposesConsent: Set<Int> = []
    package var specialFeatureOptIns: Set<Int> = []
    package var vendorsConsent: Set<Int> = []
    /// The vendors that people were told of; nil where the string doesn't say, as none had to before 2.3.
    package var disclosedVendors: Set<Int>?

    /// From this version of its policies (TCF 2.3) on a string has to say which vendors were disclosed.
    private static let disclosing = 5
    private static let longest = 16_384

    package init(_ text: String) throws(SignalMistake) {
        guard text.utf8.count <= Self.longest else { throw SignalMistake("it is too long") }
        let segments = text.split(separator: ".", omittingEmptySubsequences: false)
        try readCore(segments[0])
        var seen: Set<Int> = []
        for segment in segments.dropFirst() {
            var bits = try BitReader(segment)
            let type = try bits.number(3)
            guard seen.insert(type).inserted else { throw SignalMistake("a segment that is there twice") }
            switch type {
            case 1:
                disclosedVendors = try Self.vendors(&bits)
                try bits.finish()
            // Which vendors may be spoken for beyond the framework: of no matter since 2.3.
            case 2:
                _ = try Self.vendors(&bits)
                try bits.finish()
            case 3: try Self.readPublisher(&bits)
            default: throw SignalMistake("a segment of unknown type")
            }
        }
        if policyVersion >= Self.disclosing, disclosedVendors == nil {
            throw SignalMistake("it doesn't say which vendors were disclosed")
        }
    }

    private mutating func readCore(_ segment: Substring) throws(SignalMistake) {
        var bits = try BitReader(segment)
        guard try bits.number(6) == 2 else { throw SignalMistake("it isn't of version 2") }
        let (created, updated) = (try bits.number(36), try bits.number(36))
        // Tenths of a second since 1970.
        guard created > 0, updated >= created else { throw SignalMistake("its times can't be") }
        lastUpdated = Instant(milliseconds: Int64(updated) * 100)
        // The management platform, its version and its screen.
        _ = try bits.number(12 + 12 + 6)
        for _ in 0..<2 {
            guard try bits.number(6) < 26 else { throw SignalMistake("its language is none") }
        }
        _ = try bits.number(12)
        policyVersion = try bits.number(6)
        // Whether it is for one service, and whether its texts are others than the standard's.
        _ = try bits.number(2)
        specialFeatureOptIns = try bits.field(12)
        purposesConsent = try bits.field(24)
        _ = try bits.field(24)
        // Whether purpose one was treated differently, and the country of the publisher.
        _ = try bits.bit()
        for _ in 0..<2 {
            guard try bits.number(6) < 26 else { throw SignalMistake("its country is none") }
        }
        vendorsConsent = try Self.vendors(&bits)
        _ = try Self.vendors(&bits)
        try Self.readRestrictions(&bits)
        try bits.finish()
    }

    /// A bit for each vendor, or ranges of them.
    private static func vendors(_ bits: inout BitReader) throws(SignalMistake) -> Set<Int> {
        let most = try bits.number(16)
        guard try bits.bit() else { return try bits.field(most) }
        return try ranges(&bits, upTo: most)
    }

    private static func ranges(_ bits: inout BitReader, upTo most: Int) throws(SignalMistake) -> Set<Int> {
        var found: Set<Int> = []
        try eachRange(&bits, upTo: most) { found.formUnion($0) }
        return found
    }

    /// Ranges that together name nobody twice: else a short string could cost any number of vendors.
    private static func eachRange(
        _ bits: inout BitReader, upTo most: Int, _ take: (ClosedRange<Int>) -> Void
    ) throws(SignalMistake) {
        var named = 0
        for _ in 0..<(try bits.number(12)) {
            let isRange = try bits.bit()
            let first = try bits.number(16)
            let last = isRange ? try bits.number(16) : first
            guard first >= 1, first <= last, last <= most else {
                throw SignalMistake("vendors that can't be")
            }
            named += last - first + 1
            guard named <= most else { throw SignalMistake("vendors that are there twice") }
            take(first...last)
        }
    }

    private static func readRestrictions(_ bits: inout BitReader) throws(SignalMistake) {
        for _ in 0..<(try bits.number(12)) {
            guard (1...24).contains(try bits.number(6)) else {
                throw SignalMistake("a purpose that can't be")
            }
            _ = try bits.number(2)
            try eachRange(&bits, upTo: 65_535) { _ in }
        }
    }

    /// The publisher's own purposes.
    private static func readPublisher(_ bits: inout BitReader) throws(SignalMistake) {
        _ = try bits.field(24)
        _ = try bits.field(24)
        let custom = try bits.number(6)
        _ = try bits.field(custom)
        _ = try bits.field(custom)
        try bits.finish()
    }

    /// Whether everything that a purpose is called in the framework is consented to.
    package func consents(to names: SignalNames) -> Bool {
        names.tcfPurposes.allSatisfy(purposesConsent.contains)
            && names.tcfSpecialFeatures.allSatisfy(specialFeatureOptIns.contains)
            && names.tcfVendors.allSatisfy {
                vendorsConsent.contains($0) && (disclosedVendors?.contains($0) ?? true)
            }
    }
}
