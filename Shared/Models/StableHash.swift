import FoundationEssentials

/// A hash that is the same in every process, on every machine, for ever: shards, holdouts and derived ids
/// rest on it. FNV-1a (64 bit) over the UTF-8 bytes, parts separated by the byte 0xFF (which UTF-8 never
/// contains), then the finaliser of MurmurHash3 (`fmix64`), because FNV alone mixes its upper bits badly.
/// It withstands no attacker; nothing secret may rest on it.
package enum StableHash {
    /// The hash of the parts; `("ab", "c")` and `("a", "bc")` differ.
    package static func hash64(_ parts: String...) -> UInt64 { hash64(parts) }

    /// The hash of the parts.
    package static func hash64(_ parts: [String]) -> UInt64 {
        var state = offsetBasis
        for (index, part) in parts.enumerated() {
            if index > 0 { state = step(state, 0xFF) }
            for byte in part.utf8 { state = step(state, byte) }
        }
        return finalise(state)
    }

    /// The hash of a text and the 36-character form of an id, which is not made for it.
    static func hash64(_ first: StaticString, textOf id: UUID) -> UInt64 {
        var state = offsetBasis
        for index in 0..<first.utf8CodeUnitCount { state = step(state, first.utf8Start[index]) }
        state = step(state, 0xFF)
        return withUnsafeBytes(of: id.uuid) { bytes in
            for index in 0..<16 {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    state = step(state, UInt8(ascii: "-"))
                }
                state = step(state, UUID.hexDigit(bytes[index] >> 4))
                state = step(state, UUID.hexDigit(bytes[index] & 15))
            }
            return finalise(state)
        }
    }

    /// The hash of raw bytes; equal to that of a single part with these bytes.
    package static func hash64(bytes: some Sequence<UInt8>) -> UInt64 {
        finalise(bytes.reduce(offsetBasis, step))
    }

    private static let offsetBasis: UInt64 = 0xCBF2_9CE4_8422_2325

    @inline(__always)
    private static func step(_ state: UInt64, _ byte: UInt8) -> UInt64 {
        (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }

    private static func finalise(_ state: UInt64) -> UInt64 {
        var mixed = state
        mixed ^= mixed >> 33
        mixed &*= 0xFF51_AFD7_ED55_8CCD
        mixed ^= mixed >> 33
        mixed &*= 0xC4CE_B9FE_1A85_EC53
        mixed ^= mixed >> 33
        return mixed
    }
}
