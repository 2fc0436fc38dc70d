import Foundation
import Models

/// The values of `format`. They are asserted, not only noted.
enum TextFormat: String, CaseIterable, Sendable {
    /// RFC 3339, section 5.6, in the years that an `Instant` has: 0001 to 9999.
    case dateTime = "date-time"
    /// RFC 3339, section 5.6, `full-date`.
    case date
    /// RFC 5321, section 4.1.2, `Mailbox`: in ASCII.
    case email
    /// RFC 3986, section 3, `URI`: with a scheme.
    case uri
    /// RFC 9562, section 4.
    case uuid

    var words: String {
        switch self {
        case .dateTime: "an RFC 3339 time"
        case .date: "a date such as 2026-11-21"
        case .email: "an e-mail address"
        case .uri: "a URI with its scheme"
        case .uuid: "a UUID"
        }
    }

    func matches(_ text: String) -> Bool {
        switch self {
        case .dateTime: Instant(rfc3339: text) != nil
        case .date: Self.isDate(text)
        case .email: MailboxSyntax.matches(text)
        case .uri: URISyntax.matches(text)
        case .uuid: UUID(hyphenated: text) != nil
        }
    }

    private static func isDate(_ text: String) -> Bool {
        let bytes = Array(text.utf8.prefix(11))
        guard bytes.count == 10, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-") else {
            return false
        }
        func number(_ range: Range<Int>) -> Int64? {
            bytes[range].reduce(0 as Int64?) { value, byte in
                guard let value, (48...57).contains(byte) else { return nil }
                return value * 10 + Int64(byte - 48)
            }
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10) else {
            return false
        }
        return CivilDate(year: year, month: month, day: day) != nil
    }
}
