import Foundation
import Models
import Testing

@Suite("Instants and durations")
struct InstantTests {

    private static let readable: [(String, Int64)] = [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00.001z", 1), ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-21T02:33:00+05:30", 1_795_208_580_000),
        ("2026-11-21T02:33:00.123456789Z", 1_795_228_380_123),
        ("2000-02-29T00:00:00-00:00", 951_782_400_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000), ("2017-01-01T00:59:60.5+01:00", 1_483_228_800_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000), ("9999-12-31T23:59:59.9999Z", 253_402_300_799_999),
    ]

    @Test("RFC 3339 times are read, with any offset and fraction", arguments: Self.readable)
    func reads(text: String, milliseconds: Int64) {
        #expect(Instant(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(
        "what is no RFC 3339 time is refused",
        arguments: [
            "", "2024", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-1-01T00:00:00Z",
            "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z", "2024-00-10T00:00:00Z",
            "2024-13-10T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:60Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+01:60", "2024-01-01T00:00:00ZZ",
            "2024-01-01T00:00:00Z ",
            "294277-01-01T00:00:00Z", "+2024-01-01T00:00:00Z", "-2024-01-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "９999-12-31T23:59:59Z",
        ])
    func refuses(text: String) { #expect(Instant(rfc3339: text) == nil) }

    @Test("every instant has a text that is read back the same")
    func roundTrip() {
        var generator = seededGenerator()
        for _ in 0..<5000 {
            let range = Instant.distantPast.milliseconds...Instant.distantFuture.milliseconds
            let instant = Instant(milliseconds: .random(in: range, using: &generator))
            #expect(Instant(rfc3339: instant.rfc3339) == instant)
        }
    }

    @Test("the calendar agrees with Foundation's on every day of eight centuries")
    func calendar() throws {
        for day in stride(from: Int64(-146_097), to: 146_097, by: 1) {
            let date = CivilDate(daysSinceEpoch: day)
            #expect(date.daysSinceEpoch == day)
            // Foundation has the Julian calendar before 15 October 1582.
            guard day % 97 == 0, day > -141_427 else { continue }
            let theirs = Date(timeIntervalSince1970: Double(day) * 86_400).ISO8601Format()
            #expect(Instant(milliseconds: day * 86_400_000).rfc3339.prefix(10) == theirs.prefix(10))
        }
    }

    @Test("arithmetic stops at the first and last year instead of overflowing")
    func arithmetic() {
        let instant = Instant(milliseconds: 1000)
        #expect(instant + .seconds(1) == Instant(milliseconds: 2000))
        #expect(instant - .milliseconds(1500) == Instant(milliseconds: -500))
        #expect(Instant(milliseconds: 5000) - instant == .seconds(4))
        #expect(instant + .seconds(Int64.max) == .distantFuture)
        #expect(instant - .seconds(Int64.max) == .distantPast)
        #expect(Instant(milliseconds: .max) + .seconds(1) == .distantFuture)
        #expect(Instant(milliseconds: .min).rfc3339 == "0001-01-01T00:00:00.000Z")
        #expect((Instant(milliseconds: .max) - Instant(milliseconds: .min)).milliseconds == .max)
    }

    private static let readableDurations: [(String, Int64, String)] = [
        ("90d", 7_776_000_000, "90d"), ("48h", 172_800_000, "2d"), ("30m", 1_800_000, "30m"),
        ("10s", 10_000, "10s"),
        ("250ms", 250, "250ms"), ("1d12h", 129_600_000, "1d12h"), ("1h1ms", 3_600_001, "1h1ms"),
        ("0s", 0, "0s"),
    ]

    @Test("durations are read and written", arguments: Self.readableDurations)
    func durations(text: String, milliseconds: Int64, canonical: String) {
        let duration = Duration(text: text)
        #expect(duration?.milliseconds == milliseconds)
        #expect(duration?.text == canonical)
    }

    @Test(
        "what is no duration is refused",
        arguments: [
            "", "d", "5", "5x", "-5s", "1.5h", "30m1h", "1h1h", "1 h", "99999999999999999999d",
            "999999999999999d", "5sm",
        ])
    func badDurations(text: String) { #expect(Duration(text: text) == nil) }
}
