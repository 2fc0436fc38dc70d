package import Models

/// Times as the senders write them, which is nearly RFC 3339.
package enum VendorTime {
    /// Reads RFC 3339, the same with an offset without colon (Salesforce: `2026-11-21T02:33:00.000+0000`) or a space
    /// for the `T`, and a bare date, which is its midnight in UTC. A time without an offset is nobody's: nil.
    package static func instant(_ text: String) -> Instant? {
        if let instant = Instant(rfc3339: text) { return instant }
        var bytes = Array(text.utf8)
        guard bytes.count >= 10, bytes.count <= 40 else { return nil }
        if bytes.count == 10 { return Instant(rfc3339: text + "T00:00:00Z") }
        if bytes[10] == UInt8(ascii: " ") { bytes[10] = UInt8(ascii: "T") }
        let sign = bytes.count - 5
        if sign > 10, bytes[sign] == UInt8(ascii: "+") || bytes[sign] == UInt8(ascii: "-") {
            bytes.insert(UInt8(ascii: ":"), at: bytes.count - 2)
        }
        return Instant(rfc3339: String(decoding: bytes, as: UTF8.self))
    }
}
