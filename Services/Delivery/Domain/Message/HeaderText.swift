/// Text in the header of a mail. No value can end its line: controls become blanks before anything else.
enum HeaderText {
    /// Free text such as a subject: as it is when it is short ASCII, else in encoded words (RFC 2047).
    static func unstructured(_ text: String, after nameLength: Int) -> String {
        let clean = text.withoutControls
        let isPlain =
            clean.utf8.allSatisfy { (32...126).contains($0) } && nameLength + clean.utf8.count <= 76
            && !clean.contains("=?") && clean.first != " " && clean.last != " "
        return isPlain ? clean : encodedWords(clean)
    }

    /// A name before an address: an atom, a quoted string, or encoded words.
    static func phrase(_ text: String) -> String {
        let clean = text.withoutControls
        guard clean.utf8.allSatisfy({ (32...126).contains($0) }), clean.utf8.count <= 60,
            !clean.contains("=?")
        else {
            return encodedWords(clean)
        }
        if clean.utf8.allSatisfy({ $0.isASCIILetterOrDigit || $0 == 32 }) { return clean }
        return "\"" + String(clean.flatMap { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }) + "\""
    }

    /// Each word at most 75 characters, none of them cutting a character in two, one to a line.
    private static func encodedWords(_ text: String) -> String {
        var words: [String] = []
        var chunk: [UInt8] = []
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if chunk.count + bytes.count > 39 {
                words.append(Base64.encode(chunk))
                chunk = []
            }
            chunk += bytes
        }
        words.append(Base64.encode(chunk))
        return words.map { "=?UTF-8?B?\($0)?=" }.joined(separator: "\r\n ")
    }
}

extension String {
    /// Every run of control characters (line ends and tabs too) becomes one blank.
    var withoutControls: String {
        var result = ""
        var isAfterControl = false
        for scalar in unicodeScalars {
            let isControl =
                scalar.value < 32 || (127...159).contains(scalar.value) || scalar.value == 0x2028
                || scalar.value == 0x2029
            if isControl, !isAfterControl { result += " " }
            if !isControl { result.unicodeScalars.append(scalar) }
            isAfterControl = isControl
        }
        return result
    }
}
