import Models

/// What many profiles did, in columns: grouped by profile and in the order of time within one, then of message ids.
///
/// It holds what rules about events can ask for: when, which kind and name, and for each property path that was asked for
/// the number of the values there. `EventColumnsBuilder` makes it; it never changes. Events are counted in 32 bits; who has
/// more takes profiles in portions, which have nothing to do with each other.
package struct EventColumns: Sendable {
    /// A kind of call with the name of its event.
    struct Name: Hashable, Sendable {
        let kind: TrackingEvent.Kind
        let name: ExactText?
    }

    /// What a property path leads to in each event.
    struct Values: Sendable {
        let numbers: ContiguousArray<UInt32>
        let dictionary: ValueDictionary
    }

    /// Where the events of each profile begin, and where the last end.
    let starts: ContiguousArray<Int>
    /// The profile of each event.
    let profiles: ContiguousArray<UInt32>
    /// When each event took effect, in milliseconds.
    let instants: ContiguousArray<Int64>
    /// The kind and name of each event, by its number among `allNames`.
    let names: ContiguousArray<UInt32>
    let allNames: [Name]
    let paths: [PropertyPath: Int]
    let values: [Values]
    /// The profiles with two different events of one message id at one instant. Which of the two counts depends on the
    /// order in which they arrived, so the engine decides.
    let irregular: Set<Int>

    /// How many events the profile with the most has.
    let longest: Int

    /// How many events there are.
    package var count: Int { instants.count }
    package var profileCount: Int { starts.count - 1 }
    package var profileRange: Range<Int> { 0..<profileCount }

    /// The places of a profile's events.
    func events(of profile: Int) -> Range<Int> { starts[profile]..<starts[profile + 1] }

    /// All profiles in so many parts, with about as many events each.
    package func parts(_ count: Int) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        for part in 1...max(1, count) {
            let wanted = self.count * part / max(1, count)
            let first = parts.last?.upperBound ?? 0
            var (low, high) = (first, profileCount)
            while low < high {
                let middle = (low + high) / 2
                if starts[middle] < wanted { low = middle + 1 } else { high = middle }
            }
            parts.append(first..<(part == count ? profileCount : low))
        }
        return parts
    }
}
