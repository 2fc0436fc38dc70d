/// Why the string of a signal says nothing.
package struct SignalMistake: Error, Hashable, Sendable {
    package let detail: String

    init(_ detail: String) { self.detail = detail }
}

/// Reads the bits of a text in base64url without padding (RFC 4648, section 5), six to a character, as IAB's strings have
/// them. Strict: other characters, too few bits, and bits that are set behind the end are mistakes.
struct BitReader {
    private let sextets: [UInt8]
    private(set) var position = 0

    init(_ text: some StringProtocol) throws(SignalMistake) {
        var sextets: [UInt8] = []
        sextets.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case 65...90: sextets.append(byte - 65)
            case 97...122: sextets.append(byte - 71)
            case 48...57: sextets.append(byte + 4)
            case 45: sextets.append(62)
            case 95: sextets.append(63)
            default: throw SignalMistake("a character that base64url doesn't have")
            }
        }
        self.sextets = sextets
    }

    var count: Int { sextets.count * 6 }

    mutating func bit() throws(SignalMistake) -> Bool {
        guard position < count else { throw SignalMistake("it ends too early") }
        defer { position += 1 }
        return sextets[position / 6] >> (5 - position % 6) & 1 == 1
    }

    /// A number of at most 62 bits, the highest first.
    mutating func number(_ bits: Int) throws(SignalMistake) -> Int {
        guard position + bits <= count else { throw SignalMistake("it ends too early") }
        var value = 0
        for _ in 0..<bits { value = value << 1 | (try bit() ? 1 : 0) }
        return value
    }

    /// The numbers, from one, of the bits that are set.
    mutating func field(_ bits: Int) throws(SignalMistake) -> Set<Int> {
        guard position + bits <= count else { throw SignalMistake("it ends too early") }
        var numbers: Set<Int> = []
        for number in 0..<bits where try bit() { numbers.insert(number + 1) }
        return numbers
    }

    /// A number in Fibonacci coding, up to 65,535; each ends with two set bits.
    mutating func fibonacci() throws(SignalMistake) -> Int {
        var (value, last) = (0, false)
        var (first, second) = (1, 2)
        while true {
            let bit = try bit()
            if bit, last { return value }
            if bit { value += first }
            last = bit
            guard value <= 65_535, first <= 65_535 else { throw SignalMistake("a number that is too large") }
            (first, second) = (second, first + second)
        }
    }

    /// Checks that nothing is left but padding, none of it set. Some fill up to whole bytes, of which some characters are then
    /// longer: that makes less than twelve bits.
    mutating func finish() throws(SignalMistake) {
        guard count - position < 12 else { throw SignalMistake("it goes on after its end") }
        while position < count { if try bit() { throw SignalMistake("something is set behind its end") } }
    }
}
