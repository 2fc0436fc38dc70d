import Models

/// A sequence over selections of a block: the chains of `Chains`, of which it is asked only whether one is complete.
struct BulkSequence: Hashable, Sendable {
    private struct Step: Hashable {
        let within: Int64?
        /// The place of what must not be in between.
        let unwanted: Int?
    }

    private let selections: [Int]
    private let from: Int64
    private let now: Int64
    private let least: Int
    private let time: Int64?
    private let steps: [Step]
    private let endWithin: Int64?

    init(_ sequence: EventSequence, selections: [Int], from: Int64, at instant: Instant) {
        self.selections = selections
        self.from = from
        now = instant.milliseconds
        least = sequence.least
        time = sequence.time?.milliseconds
        var unwanted = sequence.steps.count
        steps = sequence.steps.map { step in
            if step.without != nil { unwanted += 1 }
            return Step(
                within: step.within?.milliseconds, unwanted: step.without == nil ? nil : unwanted)
        }
        endWithin = sequence.end?.within.milliseconds
    }

    /// Says of each profile of a run's block whether it happened, and notes those with more events than the engine keeps.
    func decide(
        _ run: borrowing BulkRun, from first: Int, into cells: UnsafeMutablePointer<Int64>,
        overflows: UnsafeMutablePointer<UInt8>
    ) {
        let columns = run.program.columns
        let places = selections.map { run.places($0) }
        var next = Array(repeating: 0, count: places.count)
        var search = BulkChains(columns.instants, places)
        for index in 0..<run.width {
            let end = columns.starts[first + index + 1]
            var total = 0
            for (number, places) in places.enumerated() {
                var low = next[number]
                var high = low
                while high < places.count, Int(places[high]) < end { high += 1 }
                next[number] = high
                while low < high, columns.instants[Int(places[low])] < from { low += 1 }
                search.ranges[number] = low..<high
                total += high - low
            }
            if total > RuleLimits.sequenceEvents {
                overflows[index] = 1
            } else if search.ranges[0].count >= least,
                search.ranges[1..<(steps.count + 1)].allSatisfy({ !$0.isEmpty })
            {
                cells[index] = happened(&search) ? 1 : 0
            }
        }
    }

    private func happened(_ search: inout BulkChains) -> Bool {
        search.begin(least: least, within: time)
        for (number, step) in steps.enumerated() {
            search.go(to: number + 1, within: step.within, without: step.unwanted)
        }
        return search.isComplete(without: endWithin, selections.count - 1, at: now)
    }
}

/// The chains of one profile, as far as it matters at one instant: the events with which one ends.
private struct BulkChains {
    /// Where the profile's events are in each selection.
    var ranges: [Range<Int>]
    private let instants: ContiguousArray<Int64>
    private let places: [UnsafeBufferPointer<UInt32>]
    private var ends: ContiguousArray<UInt32> = []
    private var before: ContiguousArray<UInt32> = []

    init(_ instants: ContiguousArray<Int64>, _ places: [UnsafeBufferPointer<UInt32>]) {
        self.instants = instants
        self.places = places
        ranges = Array(repeating: 0..<0, count: places.count)
    }

    private func instant(_ event: UInt32) -> Int64 { instants[Int(event)] }

    mutating func begin(least: Int, within time: Int64?) {
        ends.removeAll(keepingCapacity: true)
        let (events, range) = (places[0], ranges[0])
        var end = range.lowerBound
        for place in range {
            let event = events[place]
            while end < range.upperBound, instant(events[end]) <= instant(event) { end += 1 }
            guard end - range.lowerBound >= least else { continue }
            if let time, instant(events[end - least]) + time <= instant(event) { continue }
            ends.append(event)
        }
    }

    mutating func go(to number: Int, within: Int64?, without unwanted: Int?) {
        swap(&ends, &before)
        ends.removeAll(keepingCapacity: true)
        var end = 0
        for place in ranges[number] {
            let event = places[number][place]
            while end < before.count, instant(before[end]) < instant(event) { end += 1 }
            guard end > 0 else { continue }
            let latest = instant(before[end - 1])
            if let within, latest + within <= instant(event) { continue }
            var index = end - 1
            while index >= 0, instant(before[index]) == latest {
                if isClear(unwanted, from: before[index], to: event) {
                    ends.append(event)
                    break
                }
                index -= 1
            }
        }
    }

    private func isClear(_ unwanted: Int?, from: UInt32, to: UInt32) -> Bool {
        guard let unwanted else { return true }
        return first(of: unwanted, from: instant(from), excluding: from, to).map { $0 > instant(to) } ?? true
    }

    /// When the first of the unwanted at or after an instant happened that is none of two events.
    private func first(of unwanted: Int, from: Int64, excluding one: UInt32, _ other: UInt32) -> Int64? {
        for place in ranges[unwanted] {
            let event = places[unwanted][place]
            if instant(event) >= from, event != one, event != other { return instant(event) }
        }
        return nil
    }

    /// Whether there is a chain after whose end so much time has passed without the unwanted.
    func isComplete(without time: Int64?, _ unwanted: Int, at now: Int64) -> Bool {
        guard let time else { return !ends.isEmpty }
        return ends.contains { event in
            let ready = instant(event) + time
            guard ready <= now else { return false }
            return first(of: unwanted, from: instant(event), excluding: event, event).map { $0 >= ready }
                ?? true
        }
    }
}
