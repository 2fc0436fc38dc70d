package import Models

/// Makes columns of events that come in any order.
package struct EventColumnsBuilder: Sendable {
    package let paths: [PropertyPath]
    private var profiles: ContiguousArray<UInt32> = []
    private var instants: ContiguousArray<Int64> = []
    private var names: ContiguousArray<UInt32> = []
    private var messageIDs: ContiguousArray<String> = []
    private var allNames: [EventColumns.Name] = []
    private var nameNumbers: [EventColumns.Name: UInt32] = [:]
    private var numbers: [ContiguousArray<UInt32>]
    private var dictionaries: [ValueDictionary]
    private var profileCount = 0

    /// Of these property paths the values are kept.
    package init(paths: [PropertyPath]) {
        self.paths = paths
        numbers = Array(repeating: [], count: paths.count)
        dictionaries = Array(repeating: ValueDictionary(), count: paths.count)
    }

    /// The columns that these rules ask for.
    package init(for definitions: [SegmentDefinition]) {
        self.init(paths: BulkProgram.paths(of: definitions))
    }

    /// Adds an event of a profile, which are numbered from 0.
    package mutating func append(_ event: TrackingEvent, of profile: Int) {
        let name = number(of: event.name, kind: event.kind)
        for (place, path) in paths.enumerated() {
            numbers[place].append(dictionaries[place].number(of: path.values(in: event.properties)))
        }
        append(profile, SegmentDecider.instant(of: event), event.messageID, name)
    }

    /// Adds an event whose name and values have been numbered, in the order of `paths`.
    package mutating func append(
        profile: Int, at instant: Instant, messageID: String, name: UInt32, values: some Sequence<UInt32>
    ) {
        for (place, value) in values.enumerated() { numbers[place].append(value) }
        append(profile, instant, messageID, name)
    }

    private mutating func append(_ profile: Int, _ instant: Instant, _ messageID: String, _ name: UInt32) {
        profiles.append(UInt32(profile))
        instants.append(instant.milliseconds)
        messageIDs.append(messageID)
        names.append(name)
        profileCount = max(profileCount, profile + 1)
    }

    /// The number of a kind and name.
    package mutating func number(of name: String?, kind: TrackingEvent.Kind) -> UInt32 {
        let name = EventColumns.Name(kind: kind, name: name.map { ExactText(text: $0) })
        if let known = nameNumbers[name] { return known }
        let number = UInt32(allNames.count)
        nameNumbers[name] = number
        allNames.append(name)
        return number
    }

    /// The number of what a path, by its place among `paths`, led to.
    package mutating func number(of values: [JSON], at path: Int) -> UInt32 {
        dictionaries[path].number(of: values)
    }

    /// The columns, of at least so many profiles. The same event twice is in them once.
    package func build(profiles least: Int = 0) -> EventColumns {
        let (order, starts) = sorted(max(least, profileCount))
        var kept: ContiguousArray<Int> = []
        kept.reserveCapacity(order.count)
        var keptStarts: ContiguousArray<Int> = [0]
        keptStarts.reserveCapacity(starts.count)
        var irregular = Set<Int>()
        for profile in 0..<(starts.count - 1) {
            for place in starts[profile]..<starts[profile + 1] {
                let event = order[place]
                guard place > starts[profile], instants[order[place - 1]] == instants[event] else {
                    kept.append(event)
                    continue
                }
                let before = order[place - 1]
                if isSameMessage(before, event) {
                    if isAlike(before, event) { continue }
                    irregular.insert(profile)
                }
                kept.append(event)
            }
            keptStarts.append(kept.count)
        }
        return EventColumns(
            starts: keptStarts, profiles: Self.take(profiles, kept), instants: Self.take(instants, kept),
            names: Self.take(names, kept), allNames: allNames,
            paths: Dictionary(
                paths.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first }),
            values: zip(numbers, dictionaries).map {
                EventColumns.Values(numbers: Self.take($0, kept), dictionary: $1.sealed())
            }, irregular: irregular,
            longest: zip(keptStarts, keptStarts.dropFirst()).map { $1 - $0 }.max() ?? 0)
    }

    private static func take<Element>(_ all: ContiguousArray<Element>, _ places: ContiguousArray<Int>)
        -> ContiguousArray<Element>
    {
        ContiguousArray(places.lazy.map { all[$0] })
    }

    /// The events by profile, then by time and message id, and where those of each profile begin.
    private func sorted(_ profileCount: Int) -> (order: ContiguousArray<Int>, starts: ContiguousArray<Int>) {
        var starts = ContiguousArray(repeating: 0, count: profileCount + 1)
        for profile in profiles { starts[Int(profile) + 1] += 1 }
        for profile in 0..<profileCount { starts[profile + 1] += starts[profile] }
        var next = starts
        var order = ContiguousArray(repeating: 0, count: profiles.count)
        for (event, profile) in profiles.enumerated() {
            order[next[Int(profile)]] = event
            next[Int(profile)] += 1
        }
        for profile in 0..<profileCount {
            let range = starts[profile]..<starts[profile + 1]
            let isSorted = zip(order[range], order[range].dropFirst()).allSatisfy { !precedes($1, $0) }
            if !isSorted { order[range].sort(by: precedes) }
        }
        return (order, starts)
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        if instants[left] != instants[right] { return instants[left] < instants[right] }
        if messageIDs[left].precedesInUTF8(messageIDs[right]) { return true }
        return !messageIDs[right].precedesInUTF8(messageIDs[left]) && left < right
    }

    /// Whether two events that follow each other at one instant may be one. Beyond ASCII ids may be equal that are not next
    /// to each other, so there they are taken to be.
    private func isSameMessage(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (messageIDs[left], messageIDs[right])
        return left == right || !left.utf8.allSatisfy { $0 < 0x80 } || !right.utf8.allSatisfy { $0 < 0x80 }
    }

    /// Whether two events are the same as far as the columns tell.
    private func isAlike(_ left: Int, _ right: Int) -> Bool {
        ExactText(text: messageIDs[left]) == ExactText(text: messageIDs[right]) && names[left] == names[right]
            && numbers.allSatisfy { $0[left] == $0[right] }
    }
}
