import Models

/// A changed rule is decided beside the one in force until everybody is decided by it: as a segment of its own, called like
/// the one whose next rule it is with a mark behind. So are the segments that look at it, as they will be then. Among each
/// other they see what will be; the rules in force see nothing of them.
extension SegmentDefinition {
    private static let nextMark: Character = "~"

    /// What the next rule of a segment is called until it is in force: no segment's own id.
    package static func nextID(of id: String) -> String { id + String(nextMark) }

    /// The segment whose next rule is called so; nil for a segment's own id.
    package static func segment(ofNext id: String) -> String? {
        id.utf8.last == nextMark.asciiValue ? String(id.dropLast()) : nil
    }

    /// This rule as the next one of its segment.
    fileprivate var asNext: SegmentDefinition {
        SegmentDefinition(
            id: Self.nextID(of: id), version: version, condition: rule.condition, firstVersion: firstVersion)
    }
}

extension SegmentSet {
    /// The rules in force together with those that are to follow them: `next` has some of the segments once more, each with
    /// its next rule.
    package convenience init(revision: Int64, inForce: [SegmentDefinition], next: [SegmentDefinition]) {
        let upcoming = Self.replacing(inForce, by: next)
        let changed = Set(next.map(\.id))
        let concerned = changed.union(
            changed.isEmpty ? [] : SegmentReferences(upcoming).dependents(of: changed))
        self.init(
            revision: revision,
            segments: inForce + upcoming.filter { concerned.contains($0.id) }.map(\.asNext))
    }

    private static func replacing(
        _ segments: [SegmentDefinition], by others: [SegmentDefinition]
    ) -> [SegmentDefinition] {
        let byID = Dictionary(others.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        return segments.map { byID[$0.id] ?? $0 }
    }

    /// The segments by their rules in force.
    package var inForce: [SegmentDefinition] { segments.filter { !$0.isNext } }

    /// The segments as they will be once their next rules are in force.
    package var upcoming: [SegmentDefinition] {
        inForce.map { segment in
            guard let next = self[id: SegmentDefinition.nextID(of: segment.id)] else { return segment }
            return SegmentDefinition(
                id: segment.id, version: next.version, condition: next.rule.condition,
                firstVersion: segment.firstVersion)
        }
    }

    /// The segments with a next rule, those together that look at each other and so must change at one moment.
    package var nextGroups: [Set<String>] {
        references.groups(of: Set(segments.lazy.filter(\.isNext).map(\.id)))
            .map { group in
                // Stages that look at one of them change with it, but have no next rule of their own.
                Set(
                    group.compactMap { SegmentDefinition.segment(ofNext: $0) }
                        .filter { SegmentDefinition.isValid(id: $0) })
            }
    }
}

extension ProfileState {
    /// The segments by whose next rules the profile is in and by those in force is not, true, or the other way round, false.
    package var differences: [String: Bool] {
        var differences: [String: Bool] = [:]
        for segment in layout.segments {
            guard let id = SegmentDefinition.segment(ofNext: segment.id), SegmentDefinition.isValid(id: id),
                let next = standing(in: segment.id)
            else { continue }
            let isMember = standing(in: id)?.isMember ?? false
            if next.isMember != isMember { differences[id] = next.isMember }
        }
        return differences
    }
}
