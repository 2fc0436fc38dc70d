import Foundation
import Models
import SegmentationDomain

/// Row 5: what the states of many profiles take, of 20 segments.
enum StateMemory {
    static func run(profiles: Int, eventsEach: Int) throws -> JSON {
        let decider = SegmentDecider(try Live.set(of: 20))
        var random = SeededGenerator(seed: 11)
        var states: [PackedState] = []
        states.reserveCapacity(profiles)
        let before = try resident()
        var stored = 0
        for profile in 0..<profiles {
            var state = decider.newState()
            let id = ShopEvent.profileID(profile)
            let step = ShopEvent.days * 86_400_000 / Int64(eventsEach)
            for number in 0..<eventsEach {
                let at = ShopEvent.now.milliseconds - Int64(eventsEach - number) * step
                var event = ShopEvent.random(by: profile, at: at, &random).tracking(
                    profile * eventsEach + number)
                // As if all had come in the order of time.
                let offset = Int64((number * profiles + profile) / Shard.count) + 1
                event.position = TimelinePosition(shard: Shard(id), offset: offset)
                _ = decider.apply(event, to: &state, of: id)
                state.include(offset: offset, of: Shard(id))
            }
            let packed = PackedState(state)
            stored += packed.bytes.count
            states.append(packed)
        }
        let after = try resident()
        return [
            "profiles": .integer(Int64(states.count)),
            "inMemory": .double(Double(after - before) / Double(profiles)),
            "stored": .double(Double(stored) / Double(profiles)),
        ]
    }

    /// The bytes that this process holds.
    private static func resident() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap(
                {
                    Int($0)
                })
        else { throw BenchmarkError(text: "no VmRSS in /proc/self/status") }
        return kilobytes * 1024
    }
}
