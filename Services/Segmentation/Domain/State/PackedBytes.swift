import Models

/// Writes numbers and text so that small ones take few bytes: seven bits of a number in each, the lowest first, with the
/// highest bit set in all but the last (LEB128); numbers that may be below zero in zigzag order.
struct PackedWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    mutating func write(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func write(count: Int) { write(UInt64(max(0, count))) }

    mutating func write(_ number: Int64) { write(UInt64(bitPattern: (number << 1) ^ (number >> 63))) }

    /// Eight bytes, the lowest first.
    mutating func write(fixed number: UInt64) {
        for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * UInt64(place)))) }
    }

    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            write(count: utf8.count)
            bytes.append(contentsOf: utf8)
        }
    }
}

/// Reads them back. What does not read is an error, however it came about.
struct PackedReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { place == bytes.count }

    mutating func byte() throws(UnreadableState) -> UInt8 {
        guard place < bytes.count else { throw UnreadableState() }
        defer { place += 1 }
        return bytes[place]
    }

    mutating func number() throws(UnreadableState) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte = try byte()
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        throw UnreadableState()
    }

    /// How many there are of what takes at least a byte each.
    mutating func count() throws(UnreadableState) -> Int {
        let number = try number()
        guard number <= UInt64(bytes.count - place) else { throw UnreadableState() }
        return Int(number)
    }

    /// A number that is small enough for a place in a list.
    mutating func index() throws(UnreadableState) -> Int {
        let number = try number()
        guard number <= UInt64(Int32.max) else { throw UnreadableState() }
        return Int(number)
    }

    mutating func signed() throws(UnreadableState) -> Int64 {
        let number = try number()
        return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }

    mutating func fixed() throws(UnreadableState) -> UInt64 {
        var number: UInt64 = 0
        for place in 0..<8 { number |= UInt64(try byte()) << (8 * UInt64(place)) }
        return number
    }

    mutating func text() throws(UnreadableState) -> String {
        let count = try count()
        defer { place += count }
        return String(decoding: bytes[place..<place + count], as: UTF8.self)
    }
}

/// A stored state that is not as it was written.
package struct UnreadableState: Error, CustomStringConvertible {
    package var description: String { "a stored state does not read; a newer version may have written it" }

    package init() {}
}
