import IngestionDomain
import Models

/// The time that a sender has signed.
enum SignedTime {
    /// Refuses what lies further from now than tolerated, on either side: a clock that runs ahead would otherwise make
    /// signatures that can be replayed for as long.
    static func check(_ time: Instant, now: Instant, tolerance: Duration) throws(WebhookRefusal) {
        if now - time > tolerance { throw .stale }
        if time - now > tolerance { throw .future }
    }

    /// Reads a time as senders write it; digits and nothing else where it is a number.
    static func read(
        _ text: String, _ format: HMACSignature.TimeFormat, header: String
    ) throws(WebhookRefusal) -> Instant {
        let instant: Instant? =
            switch format {
            case .seconds: digits(text).map { Instant(milliseconds: $0 * 1000) }
            case .milliseconds: digits(text).map { Instant(milliseconds: $0) }
            case .rfc3339: VendorTime.instant(text)
            }
        guard let instant else { throw .malformedHeader(header) }
        return instant
    }

    /// At most 15 digits, which is the year 33,000 in milliseconds.
    private static func digits(_ text: String) -> Int64? {
        guard (1...15).contains(text.utf8.count), text.utf8.allSatisfy({ $0 &- 48 < 10 }) else { return nil }
        return Int64(text)
    }

    /// How long a key of a timed signature is remembered: from the earliest moment at which it is taken to the last.
    static func keep(_ tolerance: Duration) -> Duration { tolerance * 2 + .seconds(60) }
}
