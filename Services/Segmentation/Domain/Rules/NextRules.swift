import Models

/// A changed rule, score or list of stages is decided beside the one in force until everybody is decided by it: as a segment
/// of its own, called like the one whose next rule it is with a mark behind. So are the rules that look at it, as they will
/// be then. Among each other they see what will be; what is in force sees nothing of them.
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
    /// What is in force together with what is to follow it: `next` has some of the segments and scores once more, each as
    /// it will be, and all the stages once more if their list changes.
    package convenience init(
        revision: Int64, inForce: [SegmentDefinition], next: [SegmentDefinition],
        room: Int = RuleLimits.remembered
    ) {
        let upcoming = Self.replacing(inForce, by: next)
        let changed = Set(next.map(\.id))
        let concerned = changed.union(
            changed.isEmpty ? [] : SegmentReferences(upcoming).dependents(of: changed))
        self.init(
            revision: revision,
            segments: inForce + upcoming.filter { concerned.contains($0.id) }.map(\.asNext),
            upcoming: upcoming, room: room)
    }

    private static func replacing(
        _ segments: [SegmentDefinition], by others: [SegmentDefinition]
    ) -> [SegmentDefinition] {
        let byID = Dictionary(others.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let known = Set(segments.map(\.id))
        let haveOtherStages = others.contains(where: \.isOfStages)
        // Of stages there may be others then, more or fewer.
        let kept = segments.filter { byID[$0.id] != nil || !(haveOtherStages && $0.isOfStages) }
        return kept.map { byID[$0.id] ?? $0 } + others.filter { !known.contains($0.id) }
    }

    /// The segments by their rules in force.
    package var inForce: [SegmentDefinition] { segments.filter { !$0.isNext } }

    /// What has a next rule, by what it is called while that is in force; those together that look at each other, now or
    /// then, and so must change at one moment.
    package var nextGroups: [Set<String>] {
        references.groups(of: Set(segments.lazy.filter(\.isNext).map(\.id)))
            .map { group in Set(group.compactMap { SegmentDefinition.segment(ofNext: $0) }) }
    }

    /// What has next rules that come into force together with those of these, besides these.
    package func companions(of keys: Set<String>) -> Set<String> {
        nextGroups.filter { !$0.isDisjoint(with: keys) }.reduce(Set()) { $0.union($1) }.subtracting(keys)
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

    /// The segments and stages in which the profile is by the rules in force, and by their next ones is not.
    var leaving: Set<String> {
        Set(
            layout.segments.lazy.compactMap { SegmentDefinition.segment(ofNext: $0.id) }.filter {
                standing(in: $0)?.isMember == true
                    && standing(in: SegmentDefinition.nextID(of: $0))?.isMember == false
            })
    }

    /// The stage that a profile will be in once next rules are in force.
    package struct NextStage: Hashable, Sendable {
        /// Nil for none.
        package let id: String?
    }

    /// The stage by the next rules, where they decide of stages, if it is another than the one by those in force.
    package var nextStage: NextStage? {
        var next = (isDecided: false, id: String?.none)
        for segment in layout.segments {
            guard let key = SegmentDefinition.segment(ofNext: segment.id),
                let stage = SegmentDefinition.stage(ofKey: key), let own = standing(in: segment.id)
            else { continue }
            next.isDecided = true
            if own.isMember { next.id = stage }
        }
        return next.isDecided && next.id != stage ? NextStage(id: next.id) : nil
    }

    /// The stage by the rules in force.
    package var stage: String? {
        layout.segments.lazy.filter { standing(in: $0.id)?.isMember == true }
            .compactMap { SegmentDefinition.stage(ofKey: $0.id) }.first
    }
}
