import Dispatch
import Foundation
import Models
import SegmentationDomain
import Synchronization

/// The same as `Population`, with what decides live: it makes the state and the evidence of each profile as well, from which
/// the next event is decided.
struct Fold {
    private let profiles: [(number: Int, id: ProfileID, events: [TrackingEvent])]

    init(_ path: String) throws {
        var profiles: [(number: Int, id: ProfileID, events: [TrackingEvent])] = []
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for (number, line) in text.split(separator: "\n").dropFirst().enumerated() {
            guard let event = ShopEvent(line: line) else { throw BenchmarkError(text: "line \(number + 2)") }
            if profiles.last?.number != event.profile {
                profiles.append((event.profile, ShopEvent.profileID(event.profile), []))
            }
            profiles[profiles.count - 1].events.append(event.tracking(number))
        }
        self.profiles = profiles
    }

    /// The numbers of the members of each segment, decided by so many threads.
    func members(of segments: [SegmentDefinition], threads: Int) -> [String: [Int32]] {
        let set = SegmentSet(revision: 1, segments: segments)
        let decider = SegmentDecider(set)
        let found = Mutex<[String: [Int32]]>([:])
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            var own: [[Int32]] = Array(repeating: [], count: set.segments.count)
            let range = (profiles.count * thread / threads)..<(profiles.count * (thread + 1) / threads)
            for profile in profiles[range] {
                // A state of no rules: everything is stale, and is made from the events.
                var state = ProfileState(revision: 0)
                _ = decider.refresh(&state, with: profile.events, now: ShopEvent.now, of: profile.id)
                for (index, segment) in set.segments.enumerated()
                where state.segments[segment.id]?.isMember == true {
                    own[index].append(Int32(profile.number))
                }
            }
            found.withLock { found in
                for (index, members) in own.enumerated() {
                    found[set.segments[index].id, default: []] += members
                }
            }
        }
        return found.withLock { $0.mapValues { $0.sorted() } }
    }
}
