/// Codes that are equal for names that sound alike: after Soundex (Russell 1918), with the first letter coded like the
/// others where it is heard alike (Katherine and Catherine), and the letters that are mostly silent left out.
package enum Phonetics {
    /// The code of the symbols of one word; 0 when it has no letter. At most five sounds are kept.
    static func code(_ word: Symbols) -> UInt32 {
        var code: UInt32 = 0
        var last: UInt8 = 0
        var sounds = 0
        for index in word.indices {
            let symbol = word[index]
            guard symbol > 0, symbol < 64, symbol != MatchText.separator else { continue }
            let sound = table[Int(symbol)]
            if sounds == 0 {
                code = UInt32(sound == 0 ? 40 : sound)
                sounds = 1
            } else if sound != 0, sound != last {
                code = code << 6 | UInt32(sound)
                sounds += 1
                if sounds == 5 { break }
            }
            // H and W do not part letters that sound alike; vowels do.
            if symbol != 8, symbol != 23 { last = sound }
        }
        return code
    }

    /// Whether two words sound alike.
    package static func alike(_ a: String, _ b: String) -> Bool {
        let codes = [a, b].map { MatchText.symbols($0).withUnsafeBufferPointer { code($0) } }
        return codes[0] == codes[1]
    }

    /// 0 for vowels and h, w, y; letters of one sound share a number; digits and other scripts stand for themselves.
    private static let table: [UInt8] = (0..<64).map { symbol in
        guard (1...26).contains(symbol) else { return UInt8(symbol > 26 ? symbol - 17 : 0) }
        return switch UnicodeScalar(UInt8(symbol + 96)) {
        case "b", "f", "p", "v": 1
        case "c", "g", "j", "k", "q", "s", "x", "z": 2
        case "d", "t": 3
        case "l": 4
        case "m", "n": 5
        case "r": 6
        default: 0
        }
    }
}
