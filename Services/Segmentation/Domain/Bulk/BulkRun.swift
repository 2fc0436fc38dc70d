import Models

/// One run of a program over some profiles, block by block, with the memory that it takes.
///
/// A block is as many profiles as fit into the processor's nearest memory. In it the events are put on heaps by name, filters
/// make selections of these, accumulators go over selections, and tests over accumulators: short loops over integers, none
/// of which waits for a branch to be guessed.
struct BulkRun: ~Copyable {
    let program: BulkProgram
    /// The profiles of the block at hand, and its events.
    private(set) var first = 0
    private(set) var width = 0
    private var events = 0..<0
    /// The most events and profiles of a block.
    private let capacity: Int
    private static let blockEvents = 2_048
    static let blockProfiles = 256

    private let heaps: UnsafeMutablePointer<UInt32>
    private let heapCounts: UnsafeMutablePointer<Int>
    private let selected: UnsafeMutablePointer<UInt32>
    private let selectedCounts: UnsafeMutablePointer<Int>
    /// The numbers of each accumulator; of totals the second.
    private let cells: UnsafeMutablePointer<Int64>
    let totals: UnsafeMutablePointer<Int128>
    private let truths: UnsafeMutablePointer<UInt8>
    /// The profiles of the block for which something was too much.
    let overflows: UnsafeMutablePointer<UInt8>
    private let found: UnsafeMutablePointer<UInt32>
    var groups: [Int: GroupTally] = [:]

    init(_ program: BulkProgram) {
        self.program = program
        let longest = program.columns.longest
        capacity = Self.blockEvents + min(longest, program.eventLimit)
        heaps = .allocate(capacity: program.heapCount * capacity)
        heapCounts = .allocate(capacity: program.heapCount)
        heapCounts.initialize(repeating: 0, count: program.heapCount)
        selected = .allocate(capacity: program.selections.count * capacity)
        selectedCounts = .allocate(capacity: program.selections.count)
        selectedCounts.initialize(repeating: 0, count: program.selections.count)
        let width = Self.blockProfiles
        cells = .allocate(capacity: program.accumulators.count * width)
        cells.initialize(repeating: 0, count: program.accumulators.count * width)
        totals = .allocate(capacity: program.accumulators.count * width)
        totals.initialize(repeating: 0, count: program.accumulators.count * width)
        truths = .allocate(capacity: program.nodes.count * width)
        truths.initialize(repeating: 0, count: program.nodes.count * width)
        overflows = .allocate(capacity: width)
        overflows.initialize(repeating: 0, count: width)
        found = .allocate(capacity: width)
        found.initialize(repeating: 0, count: width)
    }

    deinit {
        heaps.deallocate()
        heapCounts.deallocate()
        selected.deallocate()
        selectedCounts.deallocate()
        cells.deallocate()
        totals.deallocate()
        truths.deallocate()
        overflows.deallocate()
        found.deallocate()
    }

    /// Decides the profiles of a range.
    consuming func decide(_ profiles: Range<Int>) -> BulkAnswer {
        var answer = BulkAnswer(members: Array(repeating: [], count: program.roots.count))
        let columns = program.columns
        var profile = profiles.lowerBound
        while profile < profiles.upperBound {
            var end = profile
            let start = columns.starts[profile]
            while end < profiles.upperBound, end - profile < Self.blockProfiles,
                end == profile || columns.starts[end] - start < Self.blockEvents, isRegular(end)
            { end += 1 }
            if end == profile {
                answer.undecided.append(profile)
                profile += 1
                continue
            }
            (first, width, events) = (profile, end - profile, start..<columns.starts[end])
            decideBlock(&answer)
            profile = end
        }
        return answer
    }

    private func isRegular(_ profile: Int) -> Bool {
        let columns = program.columns
        return columns.events(of: profile).count <= program.eventLimit
            && (columns.irregular.isEmpty || !columns.irregular.contains(profile))
    }

    private mutating func decideBlock(_ answer: inout BulkAnswer) {
        fillHeaps()
        for (place, selection) in program.selections.enumerated() { select(selection, into: place) }
        for (place, accumulator) in program.accumulators.enumerated() { accumulate(accumulator, at: place) }
        for (place, node) in program.nodes.enumerated() { decide(node, at: place) }
        var isOverflowing = false
        for index in 0..<width where overflows[index] != 0 {
            isOverflowing = true
            answer.undecided.append(first + index)
        }
        for (rule, root) in program.roots.enumerated() {
            let truth = truths + root * Self.blockProfiles
            var count = 0
            for index in 0..<width {
                found[count] = UInt32(truncatingIfNeeded: first &+ index)
                count &+= Int(isOverflowing ? truth[index] & (overflows[index] ^ 1) : truth[index])
            }
            answer.members[rule].append(contentsOf: UnsafeBufferPointer(start: found, count: count))
        }
        if isOverflowing { overflows.update(repeating: 0, count: Self.blockProfiles) }
    }

    // MARK: Events

    /// Puts the events up to the instant on heaps by their names.
    private func fillHeaps() {
        let columns = program.columns
        let now = program.instant.milliseconds
        heapCounts.update(repeating: 0, count: program.heapCount)
        columns.names.withUnsafeBufferPointer { names in
            columns.instants.withUnsafeBufferPointer { instants in
                program.heaps.withUnsafeBufferPointer { heapOfName in
                    for event in events {
                        let heap = Int(heapOfName[Int(names[event])])
                        let count = heapCounts[heap]
                        heaps[heap &* capacity &+ count] = UInt32(truncatingIfNeeded: event)
                        heapCounts[heap] = count &+ (instants[event] <= now ? 1 : 0)
                    }
                }
            }
        }
    }

    /// The places of a selection's events.
    func places(_ selection: Int) -> UnsafeBufferPointer<UInt32> {
        if case .heap(let heap) = program.selections[selection] {
            return UnsafeBufferPointer(start: heaps + heap * capacity, count: heapCounts[heap])
        }
        return UnsafeBufferPointer(start: selected + selection * capacity, count: selectedCounts[selection])
    }

    private func select(_ selection: BulkSelection, into place: Int) {
        let target = selected + place * capacity
        var count = 0
        switch selection {
        case .heap: return
        case .names(let isMeant):
            let now = program.instant.milliseconds
            let columns = program.columns
            columns.names.withUnsafeBufferPointer { names in
                columns.instants.withUnsafeBufferPointer { instants in
                    isMeant.withUnsafeBufferPointer { isMeant in
                        for event in events {
                            target[count] = UInt32(truncatingIfNeeded: event)
                            count &+= Int(isMeant[Int(names[event])]) & (instants[event] <= now ? 1 : 0)
                        }
                    }
                }
            }
        case .filtered(let base, let column, let passing):
            let places = places(base)
            program.columns.values[column].numbers.withUnsafeBufferPointer { numbers in
                passing.withUnsafeBufferPointer { passing in
                    for event in places {
                        target[count] = event
                        count &+= Int(passing[Int(numbers[Int(event)])])
                    }
                }
            }
        }
        selectedCounts[place] = count
    }

    // MARK: Truths

    /// The numbers of an accumulator, by the profile's place in the block.
    func cells(_ place: Int) -> UnsafeMutablePointer<Int64> { cells + place * Self.blockProfiles }

    private func decide(_ node: BulkNode, at place: Int) {
        let truth = truths + place * Self.blockProfiles
        switch node {
        case .test(let test): decide(test, truth)
        case .group(let junction, let parts):
            truth.update(repeating: junction == .any ? 0 : 1, count: width)
            for part in parts {
                let other = truths + part * Self.blockProfiles
                switch junction {
                case .all: for index in 0..<width { truth[index] &= other[index] }
                case .any: for index in 0..<width { truth[index] |= other[index] }
                case .not: for index in 0..<width { truth[index] = other[index] ^ 1 }
                }
            }
        }
    }

    private func decide(_ test: BulkTest, _ truth: UnsafeMutablePointer<UInt8>) {
        switch test {
        case .inside(let place, let low, let high):
            let own = cells(place)
            for index in 0..<width { truth[index] = own[index] >= low && own[index] <= high ? 1 : 0 }
        case .total(let place, let bounds):
            let own = totals + place * Self.blockProfiles
            for index in 0..<width { truth[index] = bounds.contains(own[index]) ? 1 : 0 }
        case .mean(let total, let count, let bounds):
            let (own, counts) = (totals + total * Self.blockProfiles, cells(count))
            for index in 0..<width {
                truth[index] = counts[index] > 0 && bounds.contains(own[index], over: counts[index]) ? 1 : 0
            }
        case .ratio(let counted, let base, let least, let bounds):
            let (own, others) = (cells(counted), cells(base))
            for index in 0..<width {
                let isWithin = bounds.contains(Int128(own[index]) * 1_000_000, over: others[index])
                truth[index] = others[index] >= least && isWithin ? 1 : 0
            }
        case .unanswered(let open, let answer, let from):
            let (own, answers) = (cells(open), cells(answer))
            for index in 0..<width {
                // Without an open event both are the least there is.
                truth[index] = own[index] >= from && own[index] > answers[index] ? 1 : 0
            }
        }
    }
}
