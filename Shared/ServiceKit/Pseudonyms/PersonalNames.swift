import Models

/// Tells by its name, or by its looks, what may name a person.
enum PersonalNames {
    /// Whether a member is called like something personal.
    static func isPersonal(_ name: String) -> Bool {
        parts.contains { name.contains($0) } || whole.contains(name)
    }

    /// Whether a member of Martlet's own answers holds what people have said or were told, or repeats a value of theirs.
    static func repeatsValues(_ name: String) -> Bool { values.contains(name) }

    /// Whether it is a place in a list, a hash or a signature, which look like anything.
    static func isOpaque(_ name: String) -> Bool { opaque.contains(name) }

    /// The letters of a name alone, in lower case: `first_name` is `firstName`.
    static func normalised(_ name: String) -> String { name.lowercased().filter(\.isLetter) }

    /// An address, or as many digits as a telephone number has.
    static func looksPersonal(_ text: String) -> Bool {
        var digits = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: "@") { return true }
            if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { digits += 1 }
        }
        return digits >= 9 || text.contains("%40")
    }

    private static let parts = [
        "mail", "phone", "mobile", "address", "firstname", "lastname", "fullname", "givenname", "familyname",
        "surname", "middlename", "nickname", "username", "displayname", "userid", "customerid", "anonymousid",
        "externalid", "previousid", "deviceid", "advertising", "idfa", "gaid", "visitor", "cookie",
        "fingerprint", "birth", "passw", "token", "session", "street", "postal", "zip", "clickid", "orderid",
        "checkoutid", "latitude", "longitude", "useragent", "company", "contact", "recipient",
    ]
    private static let whole: Set<String> = [
        "ip", "url", "referrer", "search", "gclid", "fbclid", "msclkid", "user", "customer", "login",
    ]
    private static let values: Set<String> = [
        "subject", "to", "cc", "bcc", "text", "html", "detail", "note", "notes", "error", "bytes", "value",
        "values", "raw", "line", "comment", "message", "was",
    ]
    private static let opaque: Set<String> = [
        "nextcursor", "previouscursor", "traceparent", "hash", "head", "signature", "publickey", "sha",
        "previoushash", "messageid", "etag", "writekey",
    ]
}
