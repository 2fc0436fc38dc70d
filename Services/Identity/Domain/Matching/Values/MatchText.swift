/// Text as the comparators see it: symbols of six bits, so that a set of them is one machine word.
///
/// Letters without case and accents are 1…26, digits 27…36, whatever divides words is 37, once. Letters of other
/// scripts share 38…57; values that differ only there stay different values by their key.
enum MatchText {
    static let separator: UInt8 = 37
    /// Symbols of a value that are looked at. A word of the machine holds a column of the comparison matrix.
    static let longest = 64
    /// Scalars of a value that are read; a value of a megabyte costs no more than this.
    private static let longestRead = 256

    struct Normalised: Equatable {
        var symbols: [UInt8] = []
        /// Tells values of the same symbols apart; nil where values of the same symbols are the same.
        var key: String?
    }

    /// Nil where there is nothing to compare.
    static func normalise(_ raw: String) -> Normalised? {
        let (read, isPlain) = ascii(raw).map { ($0, true) } ?? unicode(raw)
        var symbols = read
        if symbols.count > longest { symbols.removeLast(symbols.count - longest) }
        while symbols.last == separator { symbols.removeLast() }
        if symbols.isEmpty || isPlain && placeholders.contains(symbols) { return nil }
        return Normalised(symbols: symbols, key: isPlain ? nil : raw.lowercased())
    }

    /// The symbols of text in ASCII; nil for other text.
    private static func ascii(_ raw: String) -> [UInt8]? {
        var raw = raw
        return raw.withUTF8 { bytes -> [UInt8]? in
            let read = bytes.prefix(longestRead)
            guard read.allSatisfy({ $0 < 0x80 }) else { return nil }
            return asciiSymbols.withUnsafeBufferPointer { table in
                [UInt8](unsafeUninitializedCapacity: longest + 1) { symbols, count in
                    for byte in read {
                        let symbol = table[Int(byte)]
                        if symbol == 0 { continue }
                        if symbol == separator, count == 0 || symbols[count - 1] == separator { continue }
                        symbols[count] = symbol
                        count += 1
                        if count > longest { break }
                    }
                }
            }
        }
    }

    private static func unicode(_ raw: String) -> ([UInt8], isPlain: Bool) {
        var symbols: [UInt8] = []
        symbols.reserveCapacity(24)
        var isPlain = true
        for scalar in raw.unicodeScalars.prefix(longestRead) {
            if scalar.isASCII {
                append(asciiSymbols[Int(scalar.value)], to: &symbols)
            } else if let folded = Folding.letters[scalar] {
                for byte in folded.utf8 { append(asciiSymbols[Int(byte)], to: &symbols) }
            } else if scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
                isPlain = false
                append(38 + UInt8(truncatingIfNeeded: scalar.value % 20), to: &symbols)
            } else if !(0x300...0x36F).contains(scalar.value) {
                append(separator, to: &symbols)
            }
            if symbols.count > longest { break }
        }
        return (symbols, isPlain)
    }

    @inline(__always)
    private static func append(_ symbol: UInt8, to symbols: inout [UInt8]) {
        if symbol == 0 { return }
        if symbol == separator, symbols.isEmpty || symbols.last == separator { return }
        symbols.append(symbol)
    }

    /// What people and exports write when they mean that nothing is known.
    private static let placeholders: [[UInt8]] = ["null", "none", "n a", "unknown", "undefined"].map {
        $0.utf8.map { asciiSymbols[Int($0)] }
    }

    /// The symbols of text that is plain already, for comparing two words directly.
    static func symbols(_ text: String) -> [UInt8] { normalise(text)?.symbols ?? [] }

    static func text(_ symbols: some Sequence<UInt8>) -> String {
        String(decoding: symbols.map { alphabet[Int($0)] }, as: UTF8.self)
    }

    static func isDigit(_ symbol: UInt8) -> Bool { symbol >= 27 && symbol <= 36 }
    static func isLetter(_ symbol: UInt8) -> Bool { symbol >= 1 && symbol <= 26 }

    private static let alphabet: [UInt8] =
        [0x3F] + Array(UInt8(ascii: "a")...UInt8(ascii: "z")) + Array(UInt8(ascii: "0")...UInt8(ascii: "9"))
        + [0x20]
        + Array(repeating: 0x3F, count: 26)

    /// By ASCII code; apostrophes vanish, so that O'Neil is Oneil.
    private static let asciiSymbols: [UInt8] = (0..<128).map { code in
        switch UInt8(code) {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt8(code) - 96
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt8(code) - 64
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt8(code) - 48 + 27
        case UInt8(ascii: "'"), UInt8(ascii: "`"): 0
        default: separator
        }
    }
}
