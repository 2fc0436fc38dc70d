import Models
import SegmentationDomain
import Testing

@Suite("Attributes")
struct AttributeTests {
    private let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "profile"))

    /// When somebody enters and leaves by time alone, from the first instant on.
    private func story(_ rule: JSON, birthday: JSON, from: String) throws -> [String] {
        let definition = SegmentDefinition(id: "s", version: 1, condition: try RuleReader.read(rule))
        let decider = SegmentDecider(SegmentSet(revision: 1, segments: [definition]))
        let start = try #require(Instant(rfc3339: from))
        let event = TrackingEvent(
            messageID: "m", kind: .identify, timestamp: start, receivedAt: start,
            sourceID: RandomHistory.source,
            traits: ["birthday": birthday])
        var state = decider.newState()
        var changes = decider.apply(event, to: &state, of: profile)
        changes += decider.advance(&state, to: .distantFuture, of: profile)
        return changes.map { "\($0.change) \($0.at.rfc3339)" }
    }

    private func age(_ key: String, _ years: JSON, _ zone: String) -> JSON {
        ["age": ["trait": "birthday", key: years, "zone": .string(zone)]]
    }

    @Test("a year of age is completed when the birthday begins in the zone")
    func zones() throws {
        for (zone, instant) in [
            ("UTC", "2028-06-15T00:00:00.000Z"), ("Europe/Berlin", "2028-06-14T22:00:00.000Z"),
            ("America/New_York", "2028-06-15T04:00:00.000Z"),
        ] {
            #expect(
                try story(age("atLeast", 18, zone), birthday: "2010-06-15", from: "2026-01-01T00:00:00Z")
                    == ["entered \(instant)"])
        }
    }

    @Test("who was born on 29 February completes a year on 1 March where there is none")
    func leapDay() throws {
        let eighteen = age("exactly", 18, "UTC")
        #expect(
            try story(eighteen, birthday: "2008-02-29", from: "2025-01-01T00:00:00Z")
                == ["entered 2026-03-01T00:00:00.000Z", "exited 2027-03-01T00:00:00.000Z"])
        let twenty = age("exactly", 20, "UTC")
        #expect(
            try story(twenty, birthday: "2008-02-29T00:00:00.000Z", from: "2025-01-01T00:00:00Z")
                == ["entered 2028-02-29T00:00:00.000Z", "exited 2029-03-01T00:00:00.000Z"])
    }

    @Test("nobody has an age before they are born, or without a date")
    func none() throws {
        #expect(
            try story(age("atMost", 0, "UTC"), birthday: "2030-05-01", from: "2026-01-01T00:00:00Z")
                == ["entered 2030-05-01T00:00:00.000Z", "exited 2031-05-01T00:00:00.000Z"])
        for birthday in ["2007-02-29", "soon", "1.2.2003", 1_990, .null] as [JSON] {
            #expect(
                try story(age("atLeast", 0, "UTC"), birthday: birthday, from: "2026-01-01T00:00:00Z") == [])
        }
    }
}
