package import Models

/// A segment: the name of a group of profiles, and the rule that says who is in it.
package struct SegmentDefinition: Sendable {
    /// What the caller named it: lower-case letters, digits and hyphens.
    package let id: String
    /// Counted up with each change of the rule.
    package let version: Int
    package let rule: Rule
    /// Whether anybody is in it, and not only something remembered under its name that others look at.
    package let hasMembers: Bool
    /// Since when this version is in force, if it followed another.
    package let since: Instant
    /// The first version since the segment was made, which is not the first of all if one of its name was deleted before.
    package let firstVersion: Int
    /// Whether it is the next rule of a segment, which is not in force yet.
    let isNext: Bool

    package init(
        id: String, version: Int, condition: Condition, since: Instant = .distantPast, firstVersion: Int = 1
    ) {
        self.id = id
        self.version = version
        rule = Rule(condition)
        hasMembers = !Self.isMemory(id)
        self.since = since
        self.firstVersion = firstVersion
        isNext = Self.segment(ofNext: id) != nil
    }

    /// Whether text may name a segment: 1 to 64 of a–z, 0–9 and hyphens, beginning with a letter or digit.
    package static func isValid(id: String) -> Bool {
        let bytes = Array(id.utf8)
        let isAlphanumeric = { (byte: UInt8) in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard let first = bytes.first, bytes.count <= 64, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
}

/// All segments that are decided together, with an index from events to the conditions they can change.
package struct SegmentSet: Sendable {
    /// Counts the changes of the whole set; a state that carries it needs nothing rebuilt.
    package let revision: Int64
    /// In ascending order of their ids, which is the order in which changes at one instant appear.
    package let segments: [SegmentDefinition]

    let references: SegmentReferences
    /// Whether a next rule is on its way.
    package let hasNext: Bool
    /// Whether any segment looks at another.
    let hasReferences: Bool
    private let byID: [String: Int]
    private var byName: [NamedKind: [LeafPlace]] = [:]
    /// For each name that rules ask for, the leaves by name and by kind together, ready to be handed out.
    private var grouped: [NamedKind: [(segment: Int, leaves: [Int])]] = [:]
    /// The same for other names, by kind alone.
    private var groupedByKind: [TrackingEvent.Kind: [(segment: Int, leaves: [Int])]] = [:]
    /// Where a profile stands of which nothing is known.
    let emptyStates: [String: SegmentState]
    private var byKind: [TrackingEvent.Kind: [LeafPlace]] = [:]
    private var byTrait: [String: [LeafPlace]] = [:]
    private var byIdentifier: [String: [LeafPlace]] = [:]
    private var byContext: [String: [LeafPlace]] = [:]

    private struct NamedKind: Hashable {
        let kind: TrackingEvent.Kind
        let name: String
    }

    /// A leaf of a segment's rule.
    package struct LeafPlace: Hashable, Sendable {
        package let segment: Int
        package let leaf: Int
    }

    package init(revision: Int64, segments: [SegmentDefinition]) {
        self.revision = revision
        self.segments = segments.sorted { $0.id.precedesInUTF8($1.id) }
        references = SegmentReferences(segments)
        hasNext = segments.contains { $0.isNext }
        hasReferences = segments.contains { $0.rule.refers }
        byID = Dictionary(
            self.segments.enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { first, _ in first })
        emptyStates = Dictionary(
            self.segments.map {
                (
                    $0.id,
                    SegmentState(
                        version: $0.version, memberSince: nil, memories: $0.rule.emptyMemories, deadline: nil,
                        decidesFrom: .distantPast)
                )
            }, uniquingKeysWith: { _, last in last })
        for (segment, definition) in self.segments.enumerated() {
            for (leaf, condition) in definition.rule.leaves.enumerated() {
                index(condition.interest, LeafPlace(segment: segment, leaf: leaf))
            }
        }
        groupedByKind = byKind.mapValues(Self.grouped)
        for (named, places) in byName { grouped[named] = Self.grouped(places + (byKind[named.kind] ?? [])) }
    }

    private mutating func index(_ interest: Interest, _ place: LeafPlace) {
        switch interest {
        case .trait(let name): byTrait[name, default: []].append(place)
        case .identifier(let type): byIdentifier[type, default: []].append(place)
        case .context(let name): byContext[name, default: []].append(place)
        case .references: break
        case .selectors(let selectors):
            for selector in selectors {
                guard let names = selector.names else {
                    byKind[selector.kind, default: []].append(place)
                    continue
                }
                for name in names {
                    byName[NamedKind(kind: selector.kind, name: name), default: []].append(place)
                }
            }
        }
    }

    package subscript(id id: String) -> SegmentDefinition? { byID[id].map { segments[$0] } }

    /// Where a segment is among `segments`.
    func place(of id: String) -> Int? { byID[id] }

    /// Whether others may look at a segment.
    func isSound(_ id: String) -> Bool { references.sound.contains(id) }

    /// The segments that look at one of these, directly or through others, by their places.
    func dependents(of ids: Set<String>) -> Set<Int> {
        Set(references.dependents(of: ids).compactMap { byID[$0] })
    }

    /// The same, of segments by their places.
    func dependents(of places: Set<Int>) -> Set<Int> {
        hasReferences ? dependents(of: Set(places.map { segments[$0].id })) : []
    }

    /// The leaves that an event may change, by segment in ascending order, each once.
    package func leaves(for event: TrackingEvent) -> [(segment: Int, leaves: [Int])] {
        let named = event.name.flatMap { grouped[NamedKind(kind: event.kind, name: $0)] }
        let usual = named ?? groupedByKind[event.kind] ?? []
        // Most events are found by kind and name alone.
        var places: [LeafPlace] = []
        if event.kind == .identify, !byTrait.isEmpty {
            for name in event.traits.keys { places += byTrait[name] ?? [] }
        }
        if !byIdentifier.isEmpty {
            for type in Known.types(in: event) { places += byIdentifier[type] ?? [] }
        }
        if !byContext.isEmpty {
            for name in event.context.keys { places += byContext[name] ?? [] }
        }
        guard !places.isEmpty else { return usual }
        for (segment, leaves) in usual {
            places += leaves.map { LeafPlace(segment: segment, leaf: $0) }
        }
        return Self.grouped(places)
    }

    private static func grouped(_ places: [LeafPlace]) -> [(segment: Int, leaves: [Int])] {
        var result: [(segment: Int, leaves: [Int])] = []
        for place in Set(places).sorted(by: { ($0.segment, $0.leaf) < ($1.segment, $1.leaf) }) {
            if result.last?.segment == place.segment {
                result[result.count - 1].leaves.append(place.leaf)
            } else {
                result.append((place.segment, [place.leaf]))
            }
        }
        return result
    }
}
