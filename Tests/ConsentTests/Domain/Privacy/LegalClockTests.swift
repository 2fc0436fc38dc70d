import ConsentDomain
import Foundation
import Models
import Testing

@Suite("The legal clock of privacy requests")
struct LegalClockTests {
    private func due(_ received: String, _ regime: PrivacyRegime, isExtended: Bool = false) throws -> String {
        regime.due(try #require(Instant(rfc3339: received)), isExtended: isExtended).rfc3339
    }

    @Test(
        "a month is one of the calendar, and ends with the month where it has no such day",
        arguments: [
            ("2026-01-31T10:20:30.456Z", "2026-02-28T10:20:30.456Z", "2026-04-30T10:20:30.456Z"),
            ("2024-01-31T00:00:00.000Z", "2024-02-29T00:00:00.000Z", "2024-04-30T00:00:00.000Z"),
            ("2023-11-30T23:59:59.999Z", "2023-12-30T23:59:59.999Z", "2024-02-29T23:59:59.999Z"),
            ("2026-12-15T08:00:00.000Z", "2027-01-15T08:00:00.000Z", "2027-03-15T08:00:00.000Z"),
            ("2026-02-28T08:00:00.000Z", "2026-03-28T08:00:00.000Z", "2026-05-28T08:00:00.000Z"),
            ("1969-12-31T08:00:00.000Z", "1970-01-31T08:00:00.000Z", "1970-03-31T08:00:00.000Z"),
        ])
    func months(received: String, first: String, extended: String) throws {
        #expect(try due(received, .gdpr) == first)
        #expect(try due(received, .gdpr, isExtended: true) == extended)
    }

    @Test("California counts days: 45, and 45 more")
    func days() throws {
        #expect(try due("2026-01-31T10:00:00.000Z", .ccpa) == "2026-03-17T10:00:00.000Z")
        #expect(try due("2026-01-31T10:00:00.000Z", .ccpa, isExtended: true) == "2026-05-01T10:00:00.000Z")
    }

    @Test("both agree with a calendar that goes day by day, for random receipts")
    func oracle() throws {
        var generator = seededGenerator()
        for _ in 0..<2_000 {
            let received = Instant(
                milliseconds: Int64.random(in: -2_000_000_000_000...6_000_000_000_000, using: &generator))
            for isExtended in [false, true] {
                #expect(
                    PrivacyRegime.gdpr.due(received, isExtended: isExtended)
                        == Self.dayByDay(received, months: isExtended ? 3 : 1))
                let days = PrivacyRegime.ccpa.due(received, isExtended: isExtended) - received
                #expect(days == .seconds(86_400 * (isExtended ? 90 : 45)))
            }
        }
    }

    /// Goes on a day at a time until the month is the one that is meant, and there to the same day or the last one.
    private static func dayByDay(_ received: Instant, months: Int) -> Instant {
        func date(_ instant: Instant) -> (month: Int, day: Int) {
            let text = instant.rfc3339
            let parts = text.prefix(10).split(separator: "-").compactMap { Int($0) }
            return (parts[1], parts[2])
        }
        let from = date(received)
        let wanted = (from.month - 1 + months) % 12 + 1
        var at = received
        while date(at).month != wanted { at = at + .seconds(86_400) }
        while date(at).day < from.day, date(at + .seconds(86_400)).month == wanted {
            at = at + .seconds(86_400)
        }
        return at
    }
}
