import Models
import SegmentationDomain
import Testing

@testable import SegmentationDomain

/// States as they are kept; that they read as they were is part of the random runs of `OracleTests`.
@Suite("Packed states")
struct PackedStateTests {
    private let source = SourceID(UUIDv7.derived(at: .distantPast, from: "source"))
    private let profile = ProfileID(UUIDv7.derived(at: .distantPast, from: "profile"))

    private func filled() throws -> (PackedState, StateLayout) {
        let rules: [JSON] = [
            ["count": ["event": "A", "within": "2d", "atLeast": 2, "sameValueOf": "sku"]],
            ["sum": ["event": "A", "property": "total", "within": "3d", "atLeast": 10]],
            ["trait": ["name": "city", "equals": "Berlin"]],
            ["unanswered": ["event": "A", "by": ["event": "B"], "for": "1h"]],
            ["absent": ["event": "A", "within": "1d"]],
        ]
        let decider = SegmentDecider(
            SegmentSet(
                revision: 7,
                segments: try rules.enumerated().map { number, rule in
                    SegmentDefinition(id: "s\(number)", version: 1, condition: try RuleReader.read(rule))
                }))
        var state = decider.newState()
        for number in 0..<5 {
            let at = Instant(milliseconds: 1_700_000_000_000 + Int64(number) * 3_600_000)
            var event = TrackingEvent(
                messageID: number == 0
                    ? "018f3c1e-7d2a-7b3c-9d4e-5f6a7b8c9d0e"
                    : number == 1 ? "018F3C1E-upper" : "m\(number) ü",
                kind: number == 4 ? .identify : .track, name: number == 3 ? "B" : "A", timestamp: at,
                receivedAt: at, sourceID: source,
                properties: ["sku": "x", "total": .integer(Int64(number))])
            if number == 4 { event.traits = ["city": "Berlin"] }
            _ = decider.apply(event, to: &state, of: profile)
        }
        state.include(offset: 12, of: Shard(profile))
        let packed = PackedState(state)
        #expect(try packed.state(decider.set.layout) == state)
        return (packed, decider.set.layout)
    }

    @Test(
        "one that was cut short or changed anywhere is refused, or reads as some other state; nothing stops")
    func damaged() throws {
        let (packed, layout) = try filled()
        for length in packed.bytes.indices {
            #expect(throws: UnreadableState.self) {
                _ = try PackedState(bytes: Array(packed.bytes.prefix(length))).state(layout)
            }
        }
        for place in packed.bytes.indices {
            for flip: UInt8 in [1, 0x80, 0xFF] {
                var bytes = packed.bytes
                bytes[place] ^= flip
                _ = try? PackedState(bytes: bytes).state(layout)
            }
        }
    }

    @Test("one of the form before, whose events have no positions, reads")
    func formBefore() throws {
        let decider = SegmentDecider(
            SegmentSet(
                revision: 7,
                segments: [
                    SegmentDefinition(
                        id: "s", version: 1, condition: try RuleReader.read(["count": ["event": "A"]]))
                ]))
        let at = Instant(milliseconds: 1_700_000_000_000)
        var state = decider.newState()
        _ = decider.apply(
            TrackingEvent(
                messageID: "m", kind: .track, name: "A", timestamp: at, receivedAt: at, sourceID: source),
            to: &state, of: profile)
        var writer = PackedWriter()
        writer.write(UInt8(1))
        writer.write(fixed: decider.set.layout.key)
        for number in [Int64(7), at.milliseconds] { writer.write(number) }
        writer.write(count: 0)
        // One event, which happened at the decided instant, and whose id is one byte long.
        writer.write(count: 1)
        writer.write(Int64(0))
        writer.write(count: 2)
        writer.write(UInt8(ascii: "m"))
        // One segment, the first, that the profile is in since then.
        writer.write(count: 1)
        writer.write(count: 0)
        writer.write(UInt8(1))
        writer.write(Int64(0))
        // One memory, the first, of the one event.
        writer.write(count: 1)
        writer.write(count: 0)
        writer.write(UInt8(1))
        writer.write(count: 1)
        writer.write(count: 0)
        let packed = PackedState(bytes: writer.bytes)
        #expect(PackedState.isPacked(writer.bytes))
        #expect(try packed.layoutKey == decider.set.layout.key)
        #expect(try packed.state(decider.set.layout) == state)
    }

    @Test("one of another layout is refused")
    func anotherLayout() throws {
        let (packed, _) = try filled()
        #expect(throws: UnreadableState.self) { _ = try packed.state(.empty) }
    }
}
