/// Finds numbers by the hash of what they stand for. Whoever asks says which of the numbers of one hash is meant, so what
/// they stand for need not be kept twice.
struct HashIndex: Sendable {
    /// The upper half of the hash above a number and one; 0 where nothing lies. A power of two of them.
    private var slots: [UInt64] = []
    private(set) var count = 0

    /// About how many bytes it takes.
    var bytes: Int { Footprint.of(slots) }

    func first(_ hash: UInt64, where isMeant: (Int32) -> Bool) -> Int32? {
        guard !slots.isEmpty else { return nil }
        let mask = slots.count - 1
        var place = Self.place(hash >> 32, mask)
        while slots[place] != 0 {
            if slots[place] >> 32 == hash >> 32 {
                let number = Int32(truncatingIfNeeded: slots[place]) - 1
                if isMeant(number) { return number }
            }
            place = (place + 1) & mask
        }
        return nil
    }

    /// Adds a number that is not there.
    mutating func insert(_ hash: UInt64, _ number: Int32) {
        if (count + 1) * 2 > slots.count { grow() }
        Self.put((hash & 0xFFFF_FFFF_0000_0000) | UInt64(UInt32(number + 1)), into: &slots)
        count += 1
    }

    private mutating func grow() {
        var larger = [UInt64](repeating: 0, count: max(64, slots.count * 4))
        for slot in slots where slot != 0 { Self.put(slot, into: &larger) }
        slots = larger
    }

    private static func put(_ slot: UInt64, into slots: inout [UInt64]) {
        let mask = slots.count - 1
        var place = place(slot >> 32, mask)
        while slots[place] != 0 { place = (place + 1) & mask }
        slots[place] = slot
    }

    @inline(__always)
    private static func place(_ half: UInt64, _ mask: Int) -> Int { Int(half) & mask }
}

/// A hash of bytes for tables in memory. It is another one in each process, so that nobody can send values that all fall
/// on one place; nothing may depend on which it is.
enum TableHash {
    private static let (secret, other): (UInt64, UInt64) = {
        // Swift's own hashes begin with a secret of the process.
        var (one, two) = (Hasher(), Hasher())
        one.combine(1)
        two.combine(2)
        return (UInt64(bitPattern: Int64(one.finalize())) | 1, UInt64(bitPattern: Int64(two.finalize())))
    }()

    /// Folds eight bytes at a time into the product of two words, as wyhash does.
    static func of(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let (secret, other) = (secret, other)
        var state = other ^ UInt64(bytes.count)
        var rest = UnsafeRawBufferPointer(bytes)
        while rest.count >= 8 {
            state = folded(state ^ rest.loadUnaligned(as: UInt64.self), secret)
            rest = UnsafeRawBufferPointer(rebasing: rest[8...])
        }
        var tail: UInt64 = 0
        for byte in rest { tail = tail << 8 | UInt64(byte) }
        return folded(folded(state ^ tail, secret) ^ other, secret)
    }

    static func of(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { of($0) }
    }

    @inline(__always)
    private static func folded(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }
}
