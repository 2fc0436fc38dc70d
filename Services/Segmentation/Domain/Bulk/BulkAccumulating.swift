import Models

/// The numbers that are worked out for each profile of a block.
extension BulkRun {
    private func reset(_ place: Int, to value: Int64) -> UnsafeMutablePointer<Int64> {
        let own = cells(place)
        own.update(repeating: value, count: width)
        return own
    }

    /// Goes over the events of a selection: their places among the profiles of the block, in the columns, and when they were.
    @inline(__always)
    private func each(_ selection: Int, _ body: (_ profile: Int, _ event: Int, _ instant: Int64) -> Void) {
        let columns = program.columns
        let places = places(selection)
        columns.profiles.withUnsafeBufferPointer { profiles in
            columns.instants.withUnsafeBufferPointer { instants in
                for place in places {
                    let event = Int(place)
                    body(Int(profiles[event]) &- first, event, instants[event])
                }
            }
        }
    }

    /// Works out the numbers of an accumulator for the block.
    mutating func accumulate(_ accumulator: BulkAccumulator, at place: Int) {
        switch accumulator {
        case .count(let selection, let from):
            let own = reset(place, to: 0)
            each(selection) { profile, _, instant in own[profile] &+= instant >= from ? 1 : 0 }
        case .total(let selection, let column, let from): addUp(selection, column, from, at: place)
        case .amounts(let selection, let column, let from):
            let own = reset(place, to: 0)
            amounts(selection, column, \.numbers) { profile, instant, amount in
                own[profile] &+= instant >= from ? amount : 0
            }
        case .least(let selection, let column, let from):
            let own = reset(place, to: .max)
            amounts(selection, column, \.least) { profile, instant, amount in
                own[profile] = min(own[profile], instant >= from ? amount : .max)
            }
        case .greatest(let selection, let column, let from):
            let own = reset(place, to: .min)
            amounts(selection, column, \.greatest) { profile, instant, amount in
                own[profile] = max(own[profile], instant >= from ? amount : .min)
            }
        case .earliest(let selection):
            let own = reset(place, to: .max)
            each(selection) { profile, _, instant in own[profile] = min(own[profile], instant) }
        case .latest(let selection, let last):
            let own = reset(place, to: .min)
            each(selection) { profile, _, instant in
                own[profile] = max(own[profile], instant <= last ? instant : .min)
            }
        case .distinct(let selection, let column, let from): countDistinct(selection, column, from, at: place)
        case .most(let selection, let column, let from): countMost(selection, column, from, at: place)
        case .sequence(let sequence):
            let own = reset(place, to: 0)
            sequence.decide(self, from: first, into: own, overflows: overflows)
        }
    }

    /// Goes over the events of a selection with something that is known of the amounts of a column.
    @inline(__always)
    private func amounts(
        _ selection: Int, _ column: Int, _ known: KeyPath<ValueDictionary, ContiguousArray<Int64>>,
        _ body: (_ profile: Int, _ instant: Int64, _ amount: Int64) -> Void
    ) {
        let values = program.columns.values[column]
        values.numbers.withUnsafeBufferPointer { numbers in
            values.dictionary[keyPath: known].withUnsafeBufferPointer { amounts in
                each(selection) { profile, event, instant in
                    body(profile, instant, amounts[Int(numbers[event])])
                }
            }
        }
    }

    private func addUp(_ selection: Int, _ column: Int, _ from: Int64, at place: Int) {
        let own = totals + place * Self.blockProfiles
        own.update(repeating: 0, count: width)
        amounts(selection, column, \.totals) { profile, instant, amount in
            own[profile] &+= Int128(instant >= from ? amount : 0)
        }
    }

    /// Few groups are bits of a word; of more each remembers for which profile it was counted.
    private mutating func countDistinct(_ selection: Int, _ column: Int, _ from: Int64, at place: Int) {
        let own = reset(place, to: 0)
        let values = program.columns.values[column]
        let tally = groups[place] ?? GroupTally(values.dictionary)
        groups[place] = tally
        if let bits = tally.bits {
            values.numbers.withUnsafeBufferPointer { numbers in
                bits.withUnsafeBufferPointer { bits in
                    each(selection) { profile, event, instant in
                        own[profile] |= instant >= from ? bits[Int(numbers[event])] : 0
                    }
                }
            }
            for index in 0..<width { own[index] = Int64(own[index].nonzeroBitCount) }
            return
        }
        each(selection) { profile, event, instant in
            guard instant >= from else { return }
            for group in values.dictionary.groups(of: values.numbers[event])
            where tally.isFirst(group, of: profile &+ first) { own[profile] &+= 1 }
        }
    }

    private mutating func countMost(_ selection: Int, _ column: Int, _ from: Int64, at place: Int) {
        let own = reset(place, to: 0)
        let values = program.columns.values[column]
        let tally = groups[place] ?? GroupTally(values.dictionary)
        groups[place] = tally
        each(selection) { profile, event, instant in
            guard instant >= from else { return }
            for group in values.dictionary.groups(of: values.numbers[event]) {
                own[profile] = max(own[profile], tally.count(group, of: profile &+ first))
            }
        }
    }
}

/// Which groups of values a profile has had, with memory that is not cleared between profiles.
final class GroupTally {
    /// For each value the groups as bits, if there are few.
    let bits: ContiguousArray<Int64>?
    private var owners: ContiguousArray<Int>
    private var counts: ContiguousArray<Int64>

    init(_ dictionary: ValueDictionary) {
        let isFew = dictionary.groupCount <= 64
        bits =
            isFew
            ? ContiguousArray(
                (0..<dictionary.count).map { number in
                    dictionary.groups(of: UInt32(number)).reduce(0) { $0 | Int64(1) << Int64($1) }
                }) : nil
        owners = ContiguousArray(repeating: -1, count: dictionary.groupCount)
        counts = ContiguousArray(repeating: 0, count: dictionary.groupCount)
    }

    /// Notes a group of a profile; whether it had not been noted of it.
    func isFirst(_ group: UInt32, of profile: Int) -> Bool {
        if owners[Int(group)] == profile { return false }
        owners[Int(group)] = profile
        return true
    }

    /// Counts a group of a profile.
    func count(_ group: UInt32, of profile: Int) -> Int64 {
        if isFirst(group, of: profile) { counts[Int(group)] = 0 }
        counts[Int(group)] += 1
        return counts[Int(group)]
    }
}
