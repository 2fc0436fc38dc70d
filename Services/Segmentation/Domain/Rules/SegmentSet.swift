package import Models

/// All segments that are decided together, with an index from events to the conditions they can change.
///
/// Conditions that say the same, of whatever segments, are one *slot*: they are shown an event once and share what they
/// remember.
package final class SegmentSet: Sendable {
    /// Counts the changes of the whole set; a state that carries it needs nothing rebuilt.
    package let revision: Int64
    /// In ascending order of their ids, which is the order in which changes at one instant appear.
    package let segments: [SegmentDefinition]
    /// The segments as they will be once their next rules are in force.
    package let upcoming: [SegmentDefinition]

    let references: SegmentReferences
    /// How many events all conditions together may remember of one profile.
    package let room: Int
    /// Whether a next rule is on its way.
    package let hasNext: Bool
    /// Whether any segment looks at another.
    let hasReferences: Bool
    /// What the places in states mean that belong to this set.
    package let layout: StateLayout
    /// The conditions, each once.
    let conditions: [any LeafOperator]
    /// For each segment the slots of its conditions; less than none for one that remembers nothing.
    let slots: [[Int]]
    /// The same, each once, in ascending order, without those that remember nothing.
    let remembered: [[Int]]
    /// The rules of the segments, and whether anybody is in them.
    let rules: [(rule: Rule, version: Int, hasMembers: Bool)]
    /// For each slot the places of the segments that have the condition.
    let users: [[Int]]
    /// For each segment the places of those that look at it, directly or through others.
    private let dependents: [[Int]]
    let index: EventIndex

    package convenience init(
        revision: Int64, segments: [SegmentDefinition], room: Int = RuleLimits.remembered
    ) {
        self.init(revision: revision, segments: segments, upcoming: segments, room: room)
    }

    init(revision: Int64, segments: [SegmentDefinition], upcoming: [SegmentDefinition], room: Int) {
        self.room = room
        let segments = segments.sorted { $0.id.precedesInUTF8($1.id) }
        self.upcoming = upcoming
        self.revision = revision
        self.segments = segments
        references = SegmentReferences(segments)
        hasNext = segments.contains { $0.isNext }
        hasReferences = segments.contains { $0.rule.refers }
        var conditions: [any LeafOperator] = []
        var keys: [ConditionKey] = []
        var known: [ConditionKey: Int] = [:]
        var users: [[Int]] = []
        var slots: [[Int]] = []
        for (place, segment) in segments.enumerated() {
            slots.append(
                zip(segment.rule.leaves, segment.rule.keys).map { leaf, key in
                    guard let key else { return -1 }
                    let slot = known[key] ?? conditions.count
                    if slot == conditions.count {
                        known[key] = slot
                        conditions.append(leaf)
                        keys.append(key)
                        users.append([])
                    }
                    if users[slot].last != place { users[slot].append(place) }
                    return slot
                })
        }
        self.conditions = conditions
        self.users = users
        self.slots = slots
        remembered = slots.map { Set($0.filter { $0 >= 0 }).sorted() }
        rules = segments.map { ($0.rule, $0.version, $0.hasMembers) }
        layout = StateLayout(
            segments: segments.map { StateLayout.Segment(id: $0.id, version: $0.version) }, conditions: keys)
        dependents = Self.dependents(segments, layout, references, hasReferences: hasReferences)
        index = EventIndex(conditions)
    }

    private static func dependents(
        _ segments: [SegmentDefinition], _ layout: StateLayout, _ references: SegmentReferences,
        hasReferences: Bool
    ) -> [[Int]] {
        guard hasReferences else { return [] }
        return segments.map {
            references.dependents(of: [$0.id]).compactMap { layout.place(of: $0) }.sorted()
        }
    }

    package subscript(id id: String) -> SegmentDefinition? { place(of: id).map { segments[$0] } }

    /// Where a segment is among `segments`.
    func place(of id: String) -> Int? { layout.place(of: id) }

    /// Whether others may look at a segment.
    func isSound(_ id: String) -> Bool { references.sound.contains(id) }

    /// The segments that look at one of these, directly or through others, by their places.
    func dependents(of ids: Set<String>) -> Set<Int> {
        Set(references.dependents(of: ids).compactMap { place(of: $0) })
    }

    /// The segments that look at one, directly or through others.
    func dependents(of place: Int) -> [Int] { hasReferences ? dependents[place] : [] }

    /// The slots of the conditions that an event may change, in ascending order, each once.
    package func slots(for event: TrackingEvent) -> [Int] { index.slots(for: event) }

    /// How many segments have a condition that an event may change.
    package func segments(touchedBy event: TrackingEvent) -> Int {
        Set(slots(for: event).flatMap { users[$0] }).count
    }
}
