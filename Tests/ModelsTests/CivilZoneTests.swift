import Foundation
import Models
import Testing

@Suite("Days of a zone")
struct CivilZoneTests {
    @Test(
        "a day begins at its first instant, also where the clocks skip midnight or pass it twice",
        arguments: [
            // From Python's zoneinfo.
            ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00.000Z"),
            ("Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00.000Z"),
            ("Europe/Berlin", "2026-10-26", "2026-10-25T23:00:00.000Z"),
            ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00.000Z"),
            ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00.000Z"),
            ("America/Havana", "2026-11-01", "2026-11-01T04:00:00.000Z"),
            ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00.000Z"),
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z"),
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00.000Z"),
            ("Asia/Kathmandu", "2024-02-29", "2024-02-28T18:15:00.000Z"),
            ("UTC", "2024-02-29", "2024-02-29T00:00:00.000Z"),
        ])
    func starts(name: String, date: String, start: String) throws {
        let zone = try #require(CivilZone(name: name))
        let day = try #require(CivilDate(text: date))
        #expect(zone.start(of: day).rfc3339 == start)
    }

    @Test("days follow each other without gaps, and are those of Foundation's calendar")
    func days() throws {
        var generator = seededGenerator()
        for name in ["Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"] {
            let zone = try #require(CivilZone(name: name))
            var calendar = Calendar(identifier: .gregorian)
            calendar.timeZone = TimeZone(identifier: name) ?? .gmt
            for _ in 0..<300 {
                let instant = Instant(
                    milliseconds: .random(in: 0...2_500_000_000_000, using: &generator))
                let day = zone.day(of: instant)
                #expect(zone.start(ofDay: day) <= instant)
                #expect(zone.start(ofDay: day + 1) > instant)
                let date = Date(timeIntervalSince1970: Double(instant.milliseconds) / 1_000)
                let parts = calendar.dateComponents([.year, .month, .day], from: date)
                let civil = CivilDate(daysSinceEpoch: day)
                #expect(
                    [civil.year, civil.month, civil.day]
                        == [parts.year, parts.month, parts.day].map { Int64($0 ?? 0) })
                #expect(
                    Double(zone.start(ofDay: day).milliseconds) / 1_000
                        == calendar.startOfDay(for: date).timeIntervalSince1970)
            }
        }
    }

    @Test("where the clocks go back over midnight, the second pass belongs to the day that has begun")
    func backOverMidnight() throws {
        let zone = try #require(CivilZone(name: "America/St_Johns"))
        let again = try #require(Instant(rfc3339: "2010-11-07T03:00:00Z"))
        #expect(CivilDate(daysSinceEpoch: zone.day(of: again)).text == "2010-11-07")
    }

    @Test(
        "names of no one place are refused",
        arguments: ["", "CET", "EST", "GMT+3", "Europe/Nowhere", "europe/berlin"])
    func refused(name: String) { #expect(CivilZone(name: name) == nil) }

    @Test("dates are read strictly and written back")
    func dates() {
        for text in ["2024-02-29", "0001-01-01", "9999-12-31"] {
            #expect(CivilDate(text: text)?.text == text)
        }
        for text in [
            "2023-02-29", "2024-2-29", "2024-02-30", "24-02-01", "2024/02/29", "2024-02-29T", "+024-02-29",
        ] {
            #expect(CivilDate(text: text) == nil, "\(text)")
        }
    }
}
