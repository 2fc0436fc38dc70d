/// A telephone number as far as it can be compared: its digits, with a plus sign where the country is given.
package struct PhoneNumber: Hashable, Sendable {
    /// `+` where it was written so or as `00`, and 7 to 15 digits (ITU-T E.164).
    package let digits: String

    /// Nil for a text that is no telephone number alone. Numbers without punctuation are taken when they begin with `+`
    /// or `0`: others are as likely to be ids.
    package init?(_ text: String) {
        guard text.utf8.count <= 40 else { return nil }
        var digits = ""
        var isPunctuated = false
        for character in text.utf8 {
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits.unicodeScalars.append(Unicode.Scalar(character))
            case UInt8(ascii: "+") where digits.isEmpty: digits = "+"
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "("),
                UInt8(ascii: ")"),
                UInt8(ascii: "/"):
                isPunctuated = true
            default: return nil
            }
        }
        if digits.hasPrefix("00") { digits = "+" + digits.dropFirst(2) }
        let count = digits.utf8.count { $0 != UInt8(ascii: "+") }
        guard (7...15).contains(count), isPunctuated || digits.hasPrefix("+") || digits.hasPrefix("0") else {
            return nil
        }
        self.digits = digits
    }
}
