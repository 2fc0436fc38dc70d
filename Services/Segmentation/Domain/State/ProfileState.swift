package import Models

/// Where one profile stands in all segments: everything that deciding needs, and nothing else.
///
/// It is sparse: what the profile has nothing to do with takes no room. What rules remember is kept by condition, so that
/// those that say the same share it.
package struct ProfileState: Sendable {
    /// The latest instant for which something was decided; a fact from before it is late.
    package var decidedAt: Instant
    /// The revision of the segment set that everything here belongs to.
    package var revision: Int64
    /// The highest offset of the timeline that the state includes, per shard, in ascending order of the shards.
    private(set) var applied: [(shard: Shard, offset: Int64)] = []
    /// What the places below mean.
    private(set) var layout: StateLayout
    /// In ascending order of the places.
    private(set) var standings: [Standing] = []
    /// What the conditions remember, in ascending order of the slots; those alone that remember something.
    private(set) var memories: [HeldMemory] = []
    /// How many events they remember together.
    private(set) var remembered = 0
    /// How many were forgotten since the state was read, because there were too many.
    package private(set) var forgotten = 0
    /// The places of segments of which nothing was decided yet, in ascending order.
    private(set) var undecided: [Int] = []

    /// What one condition remembers.
    struct HeldMemory: Hashable, Sendable {
        var slot: Int
        var memory: Memory
    }

    /// The state of a profile of which nothing is known yet, in no segments.
    package init(revision: Int64) {
        self.init(revision: revision, layout: .empty)
    }

    /// The state of a profile of which nothing is known yet.
    init(revision: Int64, layout: StateLayout) {
        decidedAt = .distantPast
        self.revision = revision
        self.layout = layout
    }

    /// A state read back.
    init(
        revision: Int64, decidedAt: Instant, applied: [(shard: Shard, offset: Int64)], layout: StateLayout,
        standings: [Standing], memories: [HeldMemory]
    ) {
        self.init(revision: revision, layout: layout)
        self.decidedAt = decidedAt
        self.applied = applied
        self.standings = standings
        self.memories = memories
        remembered = Self.count(memories)
    }

    private static func count(_ memories: [HeldMemory]) -> Int {
        memories.reduce(0) { $0 + $1.memory.occurrences.count }
    }

    // MARK: Segments

    /// Where the profile stands in a segment; nil if nothing was decided of it.
    package func standing(in segment: String) -> SegmentState? {
        layout.place(of: segment).flatMap { segmentState(at: $0) }
    }

    /// The segments by their ids.
    package var segments: Segments { Segments(state: self) }

    /// Reads a state's segments by their ids.
    package struct Segments {
        fileprivate let state: ProfileState

        package subscript(id: String) -> SegmentState? { state.standing(in: id) }
        package var isEmpty: Bool { state.layout.segments.isEmpty }
    }

    func segmentState(at place: Int) -> SegmentState? {
        guard !undecided.contains(place) else { return nil }
        let standing = self[place]
        return SegmentState(
            version: layout.segments[place].version, memberSince: standing.memberSince,
            deadline: standing.deadline, decidesFrom: standing.decidesFrom)
    }

    /// Everything about segments, for work that is not done with each event.
    var segmentStates: [String: SegmentState] {
        var states: [String: SegmentState] = [:]
        states.reserveCapacity(layout.segments.count)
        for (place, segment) in layout.segments.enumerated() { states[segment.id] = segmentState(at: place) }
        return states
    }

    /// Lets the state tell of other segments and conditions.
    mutating func lay(
        _ layout: StateLayout, segments: [String: SegmentState], memories: [HeldMemory],
        undecided: [Int] = []
    ) {
        self.layout = layout
        self.memories = memories
        remembered = Self.count(memories)
        self.undecided = undecided
        standings = []
        for (place, segment) in layout.segments.enumerated() {
            guard let own = segments[segment.id] else { continue }
            var standing = Standing(place: place)
            standing.memberSince = own.memberSince
            standing.deadline = own.deadline
            standing.decidesFrom = own.decidesFrom
            if !standing.isNothing { standings.append(standing) }
        }
    }

    subscript(place: Int) -> Standing {
        let index = index(of: place)
        return index < standings.count && standings[index].place == place
            ? standings[index] : Standing(place: place)
    }

    /// Changes where the profile stands in a segment.
    mutating func update(_ place: Int, _ change: (inout Standing) -> Void) {
        let index = index(of: place)
        if index < standings.count, standings[index].place == place {
            change(&standings[index])
            if standings[index].isNothing { standings.remove(at: index) }
        } else {
            var standing = Standing(place: place)
            change(&standing)
            if !standing.isNothing { standings.insert(standing, at: index) }
        }
    }

    private func index(of place: Int) -> Int {
        var low = 0
        var high = standings.count
        while low < high {
            let middle = (low + high) / 2
            if standings[middle].place < place { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The next instant at which time alone changes a membership.
    package var nextDeadline: Instant? {
        var next = Standing.never
        for standing in standings { next = min(next, standing.due) }
        return next == Standing.never ? nil : Instant(milliseconds: next)
    }

    /// The places of the segments with a deadline at an instant, in ascending order.
    func places(due instant: Instant) -> [Int] {
        standings.lazy.filter { $0.deadline == instant }.map { Int($0.place) }
    }

    // MARK: Memories

    /// What a condition remembers.
    package func memory(_ slot: Int) -> Memory {
        let index = memoryIndex(of: slot)
        return index < memories.count && memories[index].slot == slot ? memories[index].memory : Memory()
    }

    /// Changes what a condition remembers, in place.
    mutating func withMemory<Result>(_ slot: Int, _ body: (inout Memory) -> Result) -> Result {
        let index = memoryIndex(of: slot)
        if index < memories.count, memories[index].slot == slot {
            remembered -= memories[index].memory.occurrences.count
            let result = body(&memories[index].memory)
            remembered += memories[index].memory.occurrences.count
            if memories[index].memory.isEmpty { memories.remove(at: index) }
            return result
        }
        var memory = Memory()
        let result = body(&memory)
        remembered += memory.occurrences.count
        if !memory.isEmpty { memories.insert(HeldMemory(slot: slot, memory: memory), at: index) }
        return result
    }

    /// Forgets everything that conditions remember.
    mutating func forgetMemories() { (memories, remembered) = ([], 0) }

    /// Lets the conditions that remember most forget their earliest events, until all together remember no more than so
    /// many; returns their slots.
    mutating func forget(beyond room: Int) -> [Int] {
        guard remembered > room,
            let shares = Room.shares(of: memories.map(\.memory.occurrences.count), in: room)
        else { return [] }
        var slots: [Int] = []
        for index in memories.indices {
            let gone = memories[index].memory.forgetAll(but: shares[index])
            guard gone > 0 else { continue }
            remembered -= gone
            forgotten += gone
            slots.append(memories[index].slot)
        }
        return slots
    }

    private func memoryIndex(of slot: Int) -> Int {
        var low = 0
        var high = memories.count
        while low < high {
            let middle = (low + high) / 2
            if memories[middle].slot < slot { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: What it includes

    /// Whether the fact at this place of the timeline is included.
    package func includes(offset: Int64, of shard: Shard) -> Bool {
        offset <= applied.first { $0.shard == shard }?.offset ?? 0
    }

    /// Notes that the fact at this place is included.
    package mutating func include(offset: Int64, of shard: Shard) {
        let index = applied.firstIndex { $0.shard >= shard } ?? applied.count
        if index < applied.count, applied[index].shard == shard {
            applied[index].offset = max(offset, applied[index].offset)
        } else {
            applied.insert((shard, offset), at: index)
        }
    }
}

extension ProfileState: Hashable {
    package static func == (left: ProfileState, right: ProfileState) -> Bool {
        left.decidedAt == right.decidedAt && left.revision == right.revision
            && left.layout.key == right.layout.key && left.standings == right.standings
            && left.memories == right.memories && left.undecided == right.undecided
            && left.applied.elementsEqual(right.applied, by: ==)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(decidedAt)
        hasher.combine(layout.key)
        hasher.combine(memories)
    }
}
