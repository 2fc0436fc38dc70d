extension PatternParser {
    /// `[…]`, at its opening bracket.
    mutating func characterClass() throws(PatternMistake) -> ScalarSet {
        let start = position
        position += 1
        let isInverted = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !take("]") {
            guard next != nil else {
                position = start
                throw mistake("a closing bracket for the one")
            }
            let begin = position
            let first = try classMember()
            guard next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
                ranges += first.ranges
                continue
            }
            position += 1
            let last = try classMember()
            guard let lower = first.only, let upper = last.only, lower <= upper else {
                position = begin
                throw mistake("a range from a lower to a higher character")
            }
            ranges.append(lower...upper)
        }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }

    private mutating func classMember() throws(PatternMistake) -> ScalarSet {
        guard let scalar = next else { throw mistake("a character of the class") }
        if scalar == "\\" { return try escape(inClass: true) }
        position += 1
        return ScalarSet(scalar)
    }

    /// `\…`, at the backslash.
    mutating func escape(inClass: Bool) throws(PatternMistake) -> ScalarSet {
        let start = position
        position += 1
        guard let scalar = next else { throw mistake("a character after the backslash") }
        position += 1
        switch scalar {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "w": return .wordCharacters
        case "W": return ScalarSet.wordCharacters.inverted
        case "s": return .spaces
        case "S": return ScalarSet.spaces.inverted
        case "t": return ScalarSet("\t")
        case "n": return ScalarSet("\n")
        case "v": return ScalarSet("\u{0B}")
        case "f": return ScalarSet("\u{0C}")
        case "r": return ScalarSet("\r")
        case "^", "$", "\\", ".", "*", "+", "?", "(", ")", "[", "]", "{", "}", "|", "/":
            return ScalarSet(scalar)
        case "-" where inClass: return ScalarSet("-")
        case "0" where !(next.map { ("0"..."9").contains($0) } ?? false): return ScalarSet("\0")
        default:
            if let value = try codePoint(scalar) { return ScalarSet(value) }
            position = start
            throw mistake(Self.unsupported(scalar))
        }
    }

    private static func unsupported(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "0"..."9", "k": "no back-reference, which cannot be matched in linear time,"
        case "b", "B": "no word boundary, which is not supported,"
        case "p", "P": "no Unicode property, which is not supported,"
        default: "an escape of the subset"
        }
    }

    /// What `\cA`, `\x41`, `\u0041` or `\u{41}` stands for; nil for any other escape.
    private mutating func codePoint(_ scalar: Unicode.Scalar) throws(PatternMistake) -> Unicode.Scalar? {
        switch scalar {
        case "c":
            guard let letter = next, ("a"..."z").contains(letter) || ("A"..."Z").contains(letter) else {
                throw mistake("a letter after \\c")
            }
            position += 1
            return Unicode.Scalar(letter.value % 32)
        case "x":
            guard let value = hexadecimal(2), let result = Unicode.Scalar(value) else {
                throw mistake("two hexadecimal digits after \\x")
            }
            return result
        case "u":
            guard let value = unicodeEscape(), let result = Unicode.Scalar(value) else {
                throw mistake("the number of a character after \\u, as four digits or in braces,")
            }
            return result
        default: return nil
        }
    }

    /// What follows `\u`; two escapes that are the halves of a surrogate pair stand for one character.
    private mutating func unicodeEscape() -> UInt32? {
        if take("{") {
            var value: UInt32?
            while let digit = hexadecimal(1) {
                value = (value ?? 0) * 16 + digit
                if let value, value > 0x10FFFF { return nil }
            }
            return take("}") ? value : nil
        }
        guard let value = hexadecimal(4) else { return nil }
        guard (0xD800...0xDBFF).contains(value) else { return value }
        guard take("\\"), take("u"), let low = hexadecimal(4), (0xDC00...0xDFFF).contains(low) else {
            return nil
        }
        return 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
    }

    private mutating func hexadecimal(_ count: Int) -> UInt32? {
        guard position + count <= scalars.count else { return nil }
        var value: UInt32 = 0
        for scalar in scalars[position..<position + count] {
            guard scalar.properties.isASCIIHexDigit, let digit = Character(scalar).hexDigitValue else {
                return nil
            }
            value = value * 16 + UInt32(digit)
        }
        position += count
        return value
    }
}

extension ScalarSet {
    /// The one member of a set that has one.
    fileprivate var only: UInt32? {
        guard ranges.count == 1, let range = ranges.first, range.count == 1 else { return nil }
        return range.lowerBound
    }
}
