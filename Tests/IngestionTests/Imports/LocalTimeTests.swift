import Foundation
import Models
import Testing

@testable import IngestionDomain

@Suite("Local times") struct LocalTimeTests {
    private func london(_ text: String, _ pattern: String = "yyyy-MM-dd HH:mm:ss") throws -> String? {
        let zone = try #require(TimeZone(identifier: "Europe/London"))
        return try #require(LocalTime(pattern: pattern, zone: zone)).instant(text)?.rfc3339
    }

    @Test("a local time becomes UTC by the offset of that day")
    func offsets() throws {
        #expect(try london("2009-12-01 07:45:00") == "2009-12-01T07:45:00.000Z")
        #expect(try london("2010-07-01 07:45:00") == "2010-07-01T06:45:00.000Z")
        #expect(try london("29/02/2008", "dd/MM/yyyy") == "2008-02-29T00:00:00.000Z")
        #expect(try london("1/7/2010 9:05", "d/M/yyyy H:mm") == "2010-07-01T08:05:00.000Z")
        #expect(
            try london("2010-07-01T07:45:00.250", "yyyy-MM-ddTHH:mm:ss.SSS") == "2010-07-01T06:45:00.250Z")
    }

    @Test("where clocks go back the first of the two times is meant; a skipped time reads on")
    func changes() throws {
        #expect(try london("2010-03-28 00:59:59") == "2010-03-28T00:59:59.000Z")
        #expect(try london("2010-03-28 02:00:00") == "2010-03-28T01:00:00.000Z")
        #expect(try london("2010-03-28 01:30:00") == "2010-03-28T01:30:00.000Z")
        #expect(try london("2010-10-31 00:59:59") == "2010-10-30T23:59:59.000Z")
        #expect(try london("2010-10-31 01:30:00") == "2010-10-31T00:30:00.000Z")
        #expect(try london("2010-10-31 02:00:00") == "2010-10-31T02:00:00.000Z")
    }

    @Test(
        "what is not a time of the form is refused",
        arguments: [
            "", "2010-02-29 10:00:00", "2010-13-01 10:00:00", "2010-01-01 24:00:00", "2010-01-01T10:00:00",
            "2010-01-01 10:00", "2010-01-01 10:00:00Z", "10-01-01 10:00:00", "2010-01-01 10:00:0٣",
        ])
    func refused(_ text: String) throws {
        #expect(try london(text) == nil)
    }

    @Test(
        "a pattern without a date, or with an unknown letter, is refused",
        arguments: ["HH:mm", "yyyy-MM-dd zzz", ""])
    func patterns(_ pattern: String) throws {
        let zone = try #require(TimeZone(identifier: "Europe/London"))
        #expect(LocalTime(pattern: pattern, zone: zone) == nil)
    }
}
