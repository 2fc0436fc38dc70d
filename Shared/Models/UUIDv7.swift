package import FoundationEssentials

/// UUIDs that sort by time (RFC 9562, section 5.7).
package enum UUIDv7 {
    /// A UUID of the time `at` (milliseconds) and the 74 lower bits of `random`.
    package static func make(at instant: Instant, random: (UInt64, UInt64)) -> UUID {
        let milliseconds = UInt64(clamping: instant.milliseconds) & 0xFFFF_FFFF_FFFF
        return UUID(
            high: milliseconds << 16 | 0x7000 | random.0 & 0x0FFF,
            low: 0x8000_0000_0000_0000 | random.1 & 0x3FFF_FFFF_FFFF_FFFF)
    }

    /// A UUID of the time `at` and the system's randomness.
    package static func make(at instant: Instant) -> UUID {
        var generator = SystemRandomNumberGenerator()
        return make(at: instant, random: (generator.next(), generator.next()))
    }

    /// The UUID that `parts` have at the time `at`: always the same, so a repeated decision names the same
    /// thing.
    package static func derived(at instant: Instant, from parts: String...) -> UUID {
        make(
            at: instant,
            random: (StableHash.hash64(["uuid/high"] + parts), StableHash.hash64(["uuid/low"] + parts)))
    }
}
